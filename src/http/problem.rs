//! What the outside is told when something is wrong: `application/problem+json` (RFC 9457) with a stable `type`.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

/// One refusal. What the log keeps is logged where it is made; this is only what the outside may read.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Stable: `/problems/<word>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same words for the same type.
    pub title: &'static str,
    /// HTTP status.
    pub status: u16,
    /// What is wrong with this request, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The field concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    #[serde(skip)]
    #[schema(ignore)]
    retry_after_s: Option<u64>,
}

impl Problem {
    fn new(status: StatusCode, word: &str, title: &'static str) -> Self {
        let kind = format!("/problems/{word}");
        Self { kind, title, status: status.as_u16(), detail: None, field: None, retry_after_s: None }
    }

    /// Adds what is wrong with this request. What it quotes of it passes the redactor.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(crate::redact::redact(&detail.into()).into_owned());
        self
    }

    /// Names the field concerned.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(crate::redact::redact(&field.into()).into_owned());
        self
    }

    /// Adds `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds.max(1));
        self
    }

    /// 400.
    #[must_use]
    pub fn malformed() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "The request cannot be read")
    }

    /// 401, the same for every reason: which one it was is no business of the asker.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Credentials are missing or wrong")
    }

    /// 403.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "These credentials do not allow this")
    }

    /// 404.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing")
    }

    /// 405.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This method is not supported here")
    }

    /// 408.
    #[must_use]
    pub fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "The request did not arrive in time")
    }

    /// 409.
    #[must_use]
    pub fn conflict() -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "This is taken or in use")
    }

    /// 410.
    #[must_use]
    pub fn gone() -> Self {
        Self::new(StatusCode::GONE, "gone", "The call is over")
    }

    /// 413.
    #[must_use]
    pub fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large")
    }

    /// 415.
    #[must_use]
    pub fn unsupported_media_type() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body is of an unsupported type")
    }

    /// 422.
    #[must_use]
    pub fn invalid() -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "A field is missing or does not fit")
    }

    /// 429.
    #[must_use]
    pub fn too_many() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests")
    }

    /// 500. `request` is the id under which the log tells more.
    #[must_use]
    pub fn internal(request: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong here")
            .detail(format!("see the log for request {request}"))
    }

    /// 503.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available right now")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.title)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((CONTENT_TYPE, "application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if self.status == 401 {
            response.insert_header(("WWW-Authenticate", "Bearer"));
        }
        response.body(serde_json::to_string(self).unwrap_or_default())
    }
}
