//! Query parameters of lists, read by name: what is unknown, given twice or does not fit is refused with its name.

use actix_web::HttpRequest;
use caly_actors::domain::ClientId;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::super::App;
use super::super::problem::Problem;
use super::auth::Caller;
use super::body::nearest;
use crate::store::rows::ClientRow;

/// Rows of a page when nothing is asked for.
const LIMIT_DEFAULT: u32 = 50;
/// Most rows of a page.
const LIMIT_MAX: u32 = 200;
/// Longest value of a parameter, in bytes; a cursor has 32.
const VALUE_BYTES_MAX: usize = 256;

/// The parameters of one request.
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the parameters a list knows; `limit` and `cursor` are known to every list.
    ///
    /// # Errors
    /// 422 for a parameter that is unknown, given twice or too long.
    pub fn read(request: &HttpRequest, known: &[&str]) -> Result<Self, Problem> {
        Self::only(request, &[known, &["limit", "cursor"]].concat())
    }

    /// Reads the parameters a route knows.
    ///
    /// # Errors
    /// 422 for a parameter that is unknown, given twice or too long.
    pub fn only(request: &HttpRequest, known: &[&str]) -> Result<Self, Problem> {
        let mut read: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(request.query_string().as_bytes()) {
            let wrong = |detail: String| Err(Problem::invalid().field(short(&name)).detail(detail));
            if !known.contains(&&*name) {
                let near = nearest(&name, known).map_or_else(String::new, |near| format!("; did you mean {near}?"));
                return wrong(format!("there is no such parameter{near}. There are {}", known.join(", ")));
            }
            if read.iter().any(|(earlier, _)| *earlier == name) {
                return wrong("given twice".to_owned());
            }
            if value.len() > VALUE_BYTES_MAX {
                return wrong(format!("expected at most {VALUE_BYTES_MAX} bytes"));
            }
            read.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(read))
    }

    /// A parameter as given.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Where the page before ended.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.text("cursor")
    }

    /// Rows of a page.
    ///
    /// # Errors
    /// 422 for anything but 1 to 200.
    pub fn limit(&self) -> Result<u32, Problem> {
        let Some(text) = self.text("limit") else { return Ok(LIMIT_DEFAULT) };
        let expected = || Problem::invalid().field("limit").detail(format!("expected 1 to {LIMIT_MAX}"));
        text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit)).ok_or_else(expected)
    }

    /// One of a set of words.
    ///
    /// # Errors
    /// 422 for another word.
    pub fn word(&self, name: &str, words: &[&str]) -> Result<Option<String>, Problem> {
        match self.text(name) {
            None => Ok(None),
            Some(word) if words.contains(&word) => Ok(Some(word.to_owned())),
            Some(_) => Err(Problem::invalid().field(name).detail(format!("expected one of {}", words.join(", ")))),
        }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// 422 for anything else.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        Ok(self.word(name, &["true", "false"])?.map(|word| word == "true"))
    }

    /// An id.
    ///
    /// # Errors
    /// 422 for anything else.
    pub fn uuid(&self, name: &str) -> Result<Option<Uuid>, Problem> {
        let expected = |_| Problem::invalid().field(name).detail("expected an id (UUID)");
        self.text(name).map(|text| Uuid::try_parse(text).map_err(expected)).transpose()
    }

    /// One end of a call, as it is stored.
    ///
    /// # Errors
    /// 422 for what can be no number and no address.
    pub fn party(&self, name: &str) -> Result<Option<String>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        // A plus sign that was not percent-encoded arrives as a space.
        let text = if text.starts_with(' ') { text.replacen(' ', "+", 1) } else { text.to_owned() };
        let expected = "expected a number in E.164, as +919876543210, or what the carrier gave";
        match crate::carriers::exotel::numbers::party(&text).stored() {
            Some(stored) => Ok(Some(stored.to_owned())),
            None => Err(Problem::invalid().field(name).detail(expected)),
        }
    }

    /// A moment.
    ///
    /// # Errors
    /// 422 for anything but RFC 3339.
    pub fn time(&self, name: &str) -> Result<Option<DateTime<Utc>>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        // A plus sign that was not percent-encoded arrives as a space.
        let text = text.replace(' ', "+");
        let time = DateTime::parse_from_rfc3339(&text).map_err(|_| {
            Problem::invalid().field(name).detail("expected a time in RFC 3339, as 2026-01-31T09:30:00Z")
        })?;
        Ok(Some(time.with_timezone(&Utc)))
    }

    /// Whose things to list: the client asked for, or the key's own.
    ///
    /// # Errors
    /// 404 for a client that does not exist or that the key may not see; 503.
    pub async fn client(&self, caller: &Caller, app: &App) -> Result<Option<ClientId>, Problem> {
        match self.text("client") {
            None => Ok(caller.client()),
            Some(name) => Ok(Some(ClientId(client_field("client", name, caller, app).await?.id))),
        }
    }
}

/// A client by its id or slug, if the key may see it.
///
/// # Errors
/// 404, 503.
pub async fn client(name: &str, caller: &Caller, app: &App) -> Result<ClientRow, Problem> {
    let row = match Uuid::try_parse(name) {
        Ok(id) => Some(caller.ask(app.store.client(ClientId(id))).await?),
        Err(_) => caller.ask(app.store.client_by_slug(name)).await?,
    };
    let row = row.ok_or_else(Problem::not_found)?;
    caller.may_see(row.id)?;
    Ok(row)
}

/// The same, named in a parameter or a field of a body.
///
/// # Errors
/// 404 with the field, 503.
pub async fn client_field(field: &str, name: &str, caller: &Caller, app: &App) -> Result<ClientRow, Problem> {
    let found = client(name, caller, app).await;
    found.map_err(|problem| if problem.status == 404 { problem.field(field) } else { problem })
}

/// What is no id names nothing.
///
/// # Errors
/// 404.
pub fn id(text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Problem::not_found())
}

fn short(name: &str) -> String {
    name.chars().take(64).collect()
}
