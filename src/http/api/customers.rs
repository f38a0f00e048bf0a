//! Those who ring, for clients that remember their callers: what is known of them, put right, and forgotten.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use caly_actors::domain::{ClientId, Language, PhoneNumber};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::super::App;
use super::super::problem::Problem;
use super::auth::Caller;
use super::body::{self, given};
use super::openapi::{ChangeRefusals, ListRefusals, OneRefusals, RemoveRefusals};
use super::query::{self, Query};
use crate::administration;
use crate::redact::rememberable;
use crate::store::rows::{CustomerDetail, CustomerRow, Page};
use crate::store::{CustomerChange, CustomerFilter, FACT_NAME_MAX, FACT_VALUE_MAX, FACTS_MAX, is_fact_name};

/// Customers, the newest first.
#[utoipa::path(get, path = "/api/v1/customers", tag = "customers", security(("key" = [])),
    params(
        ("client" = Option<String>, Query, description = "Slug or id"),
        ("number" = Option<String>, Query, description = "The number they ring from, in E.164"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Rows of a page; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, body = Page<CustomerRow>), ListRefusals))]
pub async fn list_customers(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<web::Json<Page<CustomerRow>>, Problem> {
    let query = Query::read(&request, &["client", "number"])?;
    let limit = query.limit()?;
    let number = query.party("number")?;
    let filter = CustomerFilter { client: query.client(&caller, &app).await?, number };
    Ok(web::Json(caller.ask(app.store.list_customers(&filter, query.cursor(), limit)).await?))
}

/// A customer with what is known of them.
#[utoipa::path(get, path = "/api/v1/customers/{id}", tag = "customers", security(("key" = [])),
    params(("id" = Uuid, Path)),
    responses((status = 200, body = CustomerDetail), OneRefusals))]
pub async fn get_customer(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<web::Json<CustomerDetail>, Problem> {
    Ok(web::Json(stored(&caller, &app, &id).await?))
}

async fn stored(caller: &Caller, app: &App, id: &str) -> Result<CustomerDetail, Problem> {
    let detail = caller.ask(app.store.customer(query::id(id)?)).await?;
    caller.may_see(detail.customer.client_id)?;
    Ok(detail)
}

/// What to change of a customer. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomerPatch {
    /// What they are called; `null` takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$",
        value_type = Option<String>
    )]
    name: Option<Option<String>>,
    /// What they speak; `null` takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(pattern = "^(en|hi|hi-Latn)$", value_type = Option<String>)]
    language: Option<Option<String>>,
    /// Facts by name (1 to 40 of a-z, 0-9 and `_`), each of 1 to 300 characters; `null` takes one away. A fact is kept for as
    /// long as the customer was to be when it was written. At most 30 of one customer.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = BTreeMap<String, Option<String>>)]
    facts: Option<BTreeMap<String, Option<String>>>,
}

impl CustomerPatch {
    /// What is given: names only, values are the customer's own.
    fn fields(&self) -> Vec<&'static str> {
        let given =
            [("name", self.name.is_some()), ("language", self.language.is_some()), ("facts", self.facts.is_some())];
        given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }

    fn checked(self, caller: &Caller) -> Result<CustomerChange, Problem> {
        if let Some(Some(name)) = &self.name {
            administration::name("name", name).map_err(|refused| caller.told(refused))?;
        }
        let name = self.name.map(|name| name.map(|name| not_secret("name", "name", &name)).transpose()).transpose()?;
        let language = |code: &String| {
            let expected = |_| Problem::invalid().field("language").detail("expected en, hi or hi-Latn");
            Language::parse(code).map_err(expected)
        };
        let language = self.language.map(|code| code.as_ref().map(language).transpose()).transpose()?;
        let facts = self.facts.unwrap_or_default();
        if facts.len() > FACTS_MAX {
            return Err(wrong_fact(format!("expected at most {FACTS_MAX}")));
        }
        let facts = facts.into_iter().map(fact).collect::<Result<_, _>>()?;
        Ok(CustomerChange { name, language, facts })
    }
}

fn wrong_fact(detail: impl Into<String>) -> Problem {
    Problem::invalid().field("facts").detail(detail.into())
}

fn fact((name, value): (String, Option<String>)) -> Result<(String, Option<String>), Problem> {
    if !is_fact_name(&name) {
        return Err(wrong_fact(format!("expected names of 1 to {FACT_NAME_MAX} of a-z, 0-9 and '_'")));
    }
    let fits = |value: &String| {
        let length = value.chars().count();
        (1..=FACT_VALUE_MAX).contains(&length) && !value.chars().any(char::is_control) && !value.trim().is_empty()
    };
    if value.as_ref().is_some_and(|value| !fits(value)) {
        return Err(wrong_fact(format!("{name}: expected 1 to {FACT_VALUE_MAX} characters on one line")));
    }
    let value = value.map(|value| not_secret("facts", &name, &value)).transpose()?;
    Ok((name, value))
}

/// What operators write down of a customer passes what callers' own words pass.
fn not_secret(field: &str, name: &str, value: &str) -> Result<String, Problem> {
    let refused = || {
        let detail = format!("{name}: secrets and numbers of cards or identity papers are not remembered");
        Problem::invalid().field(field).detail(detail)
    };
    // A mask may be longer than what it stands for.
    let kept = rememberable(name, value).filter(|kept| field == "name" || kept.chars().count() <= FACT_VALUE_MAX);
    kept.ok_or_else(refused)
}

/// Changes what is known of a customer; calls that begin from now on are told so.
#[utoipa::path(patch, path = "/api/v1/customers/{id}", tag = "customers", security(("key" = [])),
    description = "For keys of role `operator` and `admin`.",
    params(("id" = Uuid, Path)),
    request_body = CustomerPatch,
    responses((status = 200, body = CustomerDetail), ChangeRefusals))]
pub async fn change_customer(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<web::Json<CustomerDetail>, Problem> {
    caller.may_steer()?;
    let CustomerDetail { customer, .. } = stored(&caller, &app, &id).await?;
    let patch: CustomerPatch = body::read(&app, &request, payload).await?;
    let detail = json!({ "customer": customer.id, "fields": patch.fields() });
    let changed = async {
        let change = patch.checked(&caller)?;
        let changed = caller.checked(async { Ok(app.store.change_customer(customer.id, change).await?) }).await;
        changed.map_err(|problem| match problem.status {
            409 => problem.field("facts").detail(format!("at most {FACTS_MAX} facts of one customer")),
            _ => problem,
        })
    };
    let changed = changed.await;
    Ok(web::Json(caller.note("customer_changed", Some(ClientId(customer.client_id)), detail, changed)?))
}

/// Forgets a customer with all that is known of them.
#[utoipa::path(delete, path = "/api/v1/customers/{id}", tag = "customers", security(("key" = [])),
    description = "For keys of role `operator` and `admin`. Appointments stand, without the customer's number and name; \
        the record of calls stays as it is.",
    params(("id" = Uuid, Path)),
    responses((status = 204, description = "Forgotten"), RemoveRefusals))]
pub async fn forget_customer(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    caller.may_steer()?;
    let CustomerDetail { customer, .. } = stored(&caller, &app, &id).await?;
    let client = ClientId(customer.client_id);
    let forgotten = async {
        let number = PhoneNumber::parse(&customer.e164).map_err(|_| Problem::not_found())?;
        caller.checked(async { Ok(app.store.forget_customer(client, &number, None).await?) }).await
    };
    let forgotten = forgotten.await;
    caller.note("customer_forgotten", Some(client), json!({ "customer": customer.id }), forgotten)?;
    Ok(HttpResponse::NoContent().finish())
}
