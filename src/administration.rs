//! What operators change (clients, numbers, agents, keys), checked the same way from the shell and over HTTP.
//!
//! Knows the rules and asks the store; knows neither a command line nor a status code.

use std::collections::HashSet;

use caly_actors::domain::{AgentId, CallLimits, Party, PhoneNumber};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::carriers::exotel::numbers::did_key;
use crate::config::{Config, Network};
use crate::store::rows::NumberRow;
use crate::store::{Basic, NewClient, Shop, Store, StoreError, is_shop_domain};

/// Longest name or label, in characters.
const NAME_MAX: usize = 200;
/// Most entries of an allow-list, and most numbers a client is made with.
const LIST_MAX: usize = 100;
/// Most calls at once that may be set; the process has a limit of its own.
const MAX_CALLS_MAX: i64 = 100_000;
/// Longest key of `X-Exotel-Signature`, in bytes.
const SIGNATURE_KEY_MAX: usize = 1_024;
/// Shortest and longest token of a shop and key of its webhooks, in bytes.
const SHOP_SECRET_MIN: usize = 12;
const SHOP_SECRET_MAX: usize = 255;
/// Longest time that a former webhook key may hold on: a week.
pub const OVERLAP_S_MAX: i64 = 7 * 86_400;
/// How carriers may be answered at call-start.
pub const ANSWER_STYLES: [&str; 2] = ["json", "exoml"];

/// Why something was not done. Texts are for whoever asked.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Refused {
    /// A value does not fit.
    #[error("{field}: {reason}")]
    Field {
        /// As the API names it.
        field: String,
        /// What was expected.
        reason: String,
    },
    /// Somebody has it already.
    #[error("{field}: {reason}")]
    Taken {
        /// As the API names it.
        field: String,
        /// Who.
        reason: String,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Refused {
    fn field(field: &str, reason: impl Into<String>) -> Self {
        Self::Field { field: field.to_owned(), reason: reason.into() }
    }
}

/// A client as somebody wants it.
#[derive(Clone, Default, Debug)]
pub struct Draft {
    /// Stands in URLs.
    pub slug: String,
    /// Shown to operators.
    pub name: String,
    /// `json` or `exoml`.
    pub answer_style: Option<String>,
    /// Calls at once.
    pub max_calls: Option<i64>,
    /// Addresses and networks its webhooks may come from.
    pub ip_allow_list: Vec<String>,
    /// User of Basic credentials to make.
    pub basic_user: Option<String>,
    /// Key of `X-Exotel-Signature`.
    pub signature_key: Option<SecretString>,
}

impl Draft {
    /// Checks everything that can be checked without the database, and makes the Basic password if one is wanted.
    ///
    /// # Errors
    /// [`Refused::Field`].
    pub fn checked(self) -> Result<NewClient, Refused> {
        slug(&self.slug)?;
        name("name", &self.name)?;
        let mut new = NewClient::named(&self.slug, &self.name);
        if let Some(style) = self.answer_style {
            answer_style(&style)?;
            new.answer_style = style;
        }
        max_calls(self.max_calls)?;
        networks(&self.ip_allow_list)?;
        new.max_calls = self.max_calls;
        new.ip_allow_list = self.ip_allow_list;
        new.basic = self.basic_user.as_deref().map(basic).transpose()?;
        new.signature_secret = self.signature_key.map(signature_key).transpose()?;
        Ok(new)
    }
}

/// # Errors
/// [`Refused::Field`] for anything but 1 to 64 of a-z, 0-9 and '-'.
pub fn slug(text: &str) -> Result<(), Refused> {
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    // What looks like an id would be taken for one wherever a client is named by either.
    let id = uuid::Uuid::try_parse(text).is_ok();
    if fits && !id { Ok(()) } else { Err(Refused::field("slug", "expected 1 to 64 of a-z, 0-9 and '-', and no id")) }
}

/// A text people read: not empty, one line.
///
/// # Errors
/// [`Refused::Field`].
pub fn name(field: &str, text: &str) -> Result<(), Refused> {
    if text.trim().is_empty() {
        return Err(Refused::field(field, "must not be empty"));
    }
    label(field, text)
}

/// A text people read, on one line; may be empty.
///
/// # Errors
/// [`Refused::Field`].
pub fn label(field: &str, text: &str) -> Result<(), Refused> {
    let fits = text.chars().count() <= NAME_MAX && !text.chars().any(char::is_control);
    let expected = || Refused::field(field, format!("expected at most {NAME_MAX} characters on one line"));
    if fits { Ok(()) } else { Err(expected()) }
}

/// # Errors
/// [`Refused::Field`] for another word than `json` and `exoml`.
pub fn answer_style(word: &str) -> Result<(), Refused> {
    if ANSWER_STYLES.contains(&word) {
        return Ok(());
    }
    Err(Refused::field("answer_style", format!("expected one of {}", ANSWER_STYLES.join(", "))))
}

/// # Errors
/// [`Refused::Field`] for less than one call.
pub fn max_calls(calls: Option<i64>) -> Result<(), Refused> {
    if calls.is_none_or(|calls| (1..=MAX_CALLS_MAX).contains(&calls)) {
        return Ok(());
    }
    Err(Refused::field("max_calls", format!("expected 1 to {MAX_CALLS_MAX}")))
}

/// # Errors
/// [`Refused::Field`] for what is neither an address nor a network, and for too many.
pub fn networks(list: &[String]) -> Result<(), Refused> {
    if list.len() > LIST_MAX {
        return Err(Refused::field("ip_allow_list", format!("expected at most {LIST_MAX} networks")));
    }
    match list.iter().find(|text| Network::parse(text).is_none()) {
        None => Ok(()),
        Some(bad) => {
            let bad: String = bad.chars().take(64).collect();
            Err(Refused::field("ip_allow_list", format!("{bad}: expected an address or a network like 10.0.0.0/8")))
        }
    }
}

/// Basic credentials with a fresh password.
///
/// # Errors
/// [`Refused::Field`] for a user that would not survive a URL.
pub fn basic(user: &str) -> Result<Basic, Refused> {
    let fits =
        (1..=64).contains(&user.len()) && user.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !fits {
        return Err(Refused::field("basic_user", "expected 1 to 64 letters, digits, '-' and '_'"));
    }
    let password = crate::tokens::random_secret().map_err(|_| StoreError::Internal("no random numbers".to_owned()))?;
    Ok(Basic { user: user.to_owned(), password })
}

/// The key of `X-Exotel-Signature`.
///
/// # Errors
/// [`Refused::Field`].
pub fn signature_key(key: SecretString) -> Result<SecretString, Refused> {
    let text = key.expose_secret();
    let fits = (16..=SIGNATURE_KEY_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    let expected = format!("expected 16 to {SIGNATURE_KEY_MAX} visible ASCII characters without spaces");
    if fits { Ok(key) } else { Err(Refused::field("signature_key", expected)) }
}

/// A shop with what opens it. Fields are named below `field`.
///
/// # Errors
/// [`Refused::Field`].
pub fn shop(
    field: &str,
    domain: &str,
    token: SecretString,
    webhook_secret: Option<SecretString>,
) -> Result<Shop, Refused> {
    let bad = |part: &str, reason: String| Refused::field(&format!("{field}.{part}"), reason);
    let domain = domain.trim().to_ascii_lowercase();
    if !is_shop_domain(&domain) {
        return Err(bad("domain", "expected a name such as my-shop.myshopify.com".to_owned()));
    }
    let fits = |secret: &SecretString| {
        let text = secret.expose_secret();
        (SHOP_SECRET_MIN..=SHOP_SECRET_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let expected = format!("expected {SHOP_SECRET_MIN} to {SHOP_SECRET_MAX} visible ASCII characters without spaces");
    if !fits(&token) {
        return Err(bad("token", expected));
    }
    if webhook_secret.as_ref().is_some_and(|secret| !fits(secret)) {
        return Err(bad("webhook_secret", expected));
    }
    Ok(Shop { domain, token, webhook_secret })
}

/// # Errors
/// [`Refused::Field`] for what is no number in E.164.
pub fn number(field: &str, text: &str) -> Result<PhoneNumber, Refused> {
    PhoneNumber::parse(text).map_err(|error| Refused::field(field, error.to_string()))
}

/// Several numbers, each once.
///
/// # Errors
/// [`Refused::Field`].
pub fn numbers(field: &str, texts: &[String]) -> Result<Vec<PhoneNumber>, Refused> {
    if texts.len() > LIST_MAX {
        return Err(Refused::field(field, format!("expected at most {LIST_MAX} numbers")));
    }
    let mut seen = HashSet::new();
    let one = |text: &String| {
        let number = number(field, text)?;
        if seen.insert(did(&number)) {
            return Ok(number);
        }
        Err(Refused::field(field, format!("{} is given twice", number.as_e164())))
    };
    texts.iter().map(one).collect()
}

/// What two spellings of one number share.
fn did(number: &PhoneNumber) -> Option<String> {
    did_key(&Party::Number(number.clone()))
}

/// # Errors
/// [`Refused::Taken`] if one of the numbers belongs to somebody. Names the owner only if `tell_owner` allows it.
pub async fn all_free(
    store: &Store,
    field: &str,
    numbers: &[PhoneNumber],
    tell_owner: impl Fn(uuid::Uuid) -> bool,
) -> Result<(), Refused> {
    let known = store.load_directory().await?;
    for number in numbers {
        let taken = |row: &&NumberRow| PhoneNumber::parse(&row.e164).is_ok_and(|taken| did(&taken) == did(number));
        let Some(row) = known.numbers.iter().find(taken) else { continue };
        let owner = known.clients.iter().find(|client| client.client.id == row.client_id && tell_owner(row.client_id));
        let owner = owner.map_or("another client", |owner| owner.client.slug.as_str());
        let reason = format!("{} belongs to {owner} already; a number has one client", number.as_e164());
        return Err(Refused::Taken { field: field.to_owned(), reason });
    }
    Ok(())
}

/// Checks an agent's settings as a call would read them.
///
/// # Errors
/// [`Refused::Field`] with the setting's name below `field`.
pub fn settings(field: &str, settings: &Value, limits: &CallLimits) -> Result<(), Refused> {
    let read = crate::agents::read(AgentId::new(), 0, "", settings, limits);
    match read.and_then(|_| crate::agents::bounds::check(settings)) {
        Ok(()) => Ok(()),
        Err(error) => {
            let field = error.key.as_ref().map_or_else(|| field.to_owned(), |key| format!("{field}.{key}"));
            Err(Refused::field(&field, error.reason))
        }
    }
}

/// What to paste where in Exotel's flow builder: a name, the place, the URL with the key.
#[must_use]
pub fn webhooks(config: &Config, slug: &str, secret: &str) -> [(&'static str, &'static str, String); 6] {
    let base = config.server.public_url.http();
    let url = |door: &str| format!("{base}/webhooks/exotel/{slug}/{door}?key={secret}");
    [
        ("call_start", "Voicebot applet, URL", url("call-start")),
        ("passthru", "Passthru applet, URL", url("passthru")),
        ("connect", "Connect applet, dynamic URL", url("connect")),
        ("call_end", "Status callback of the flow", url("call-end")),
        ("status", "StatusCallback of REST calls", url("status")),
        ("recording", "Recording callback", url("recording")),
    ]
}

/// The URL of a client's static stream, with its Basic credentials.
#[must_use]
pub fn stream_url(config: &Config, slug: &str, basic: &Basic) -> String {
    let public = config.server.public_url.ws();
    let stream = public.replacen("://", &format!("://{}:{}@", basic.user, basic.password), 1);
    format!("{stream}/media/exotel/client/{slug}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use serde_json::json;

    fn named(outcome: Result<impl std::fmt::Debug, Refused>) -> String {
        match outcome {
            Err(Refused::Field { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let draft = |change: fn(&mut Draft)| {
            let mut draft = Draft { slug: "shop".to_owned(), name: "A shop".to_owned(), ..Draft::default() };
            change(&mut draft);
            draft.checked()
        };
        assert!(draft(|_| ()).is_ok());
        for (change, field) in [
            ((|draft| draft.slug = "A shop".to_owned()) as fn(&mut Draft), "slug"),
            (|draft| draft.slug = uuid::Uuid::nil().to_string(), "slug"),
            (|draft| draft.name = " ".to_owned(), "name"),
            (|draft| draft.name = "a\nb".to_owned(), "name"),
            (|draft| draft.name = "x".repeat(201), "name"),
            (|draft| draft.answer_style = Some("yaml".to_owned()), "answer_style"),
            (|draft| draft.max_calls = Some(0), "max_calls"),
            (|draft| draft.ip_allow_list = vec!["10.0.0.0/33".to_owned()], "ip_allow_list"),
            (|draft| draft.basic_user = Some("a:b".to_owned()), "basic_user"),
            (|draft| draft.signature_key = Some("short".into()), "signature_key"),
            (|draft| draft.signature_key = Some("long enough but with spaces".into()), "signature_key"),
        ] {
            assert_eq!(named(draft(change)), field);
        }
        assert_eq!(named(numbers("numbers", &["+912248966200".to_owned(), "+912248966200".to_owned()])), "numbers");
        assert_eq!(named(numbers("numbers", &["022".to_owned()])), "numbers");
    }

    #[test]
    fn a_shop_is_checked_before_its_token_is_kept() {
        let token = "shpat_0123456789abcdef";
        let whole = shop("shop", " My-Shop.myshopify.com ", token.into(), Some(token.into())).unwrap();
        assert_eq!(whole.domain, "my-shop.myshopify.com");
        assert!(!format!("{whole:?}").contains("shpat"), "{whole:?}");
        for (domain, token, webhook_secret, field) in [
            ("shop.example", token, None, "shop.domain"),
            ("a.myshopify.com", "short", None, "shop.token"),
            ("a.myshopify.com", "a token with a space", None, "shop.token"),
            ("a.myshopify.com", token, Some("short"), "shop.webhook_secret"),
        ] {
            assert_eq!(named(shop("shop", domain, token.into(), webhook_secret.map(Into::into))), field);
        }
    }

    #[test]
    fn a_setting_that_does_not_fit_is_named_with_its_place() {
        let limits = CallLimits::default();
        for (value, field) in [
            (json!({"voise": "x"}), "settings.voise"),
            (json!({"greeting": 5}), "settings.greeting"),
            (json!({"limits": {"max_duration_s": 0}}), "settings.limits.max_duration_s"),
            (json!([]), "settings"),
        ] {
            assert_eq!(named(settings("settings", &value, &limits)), field);
        }
        assert_eq!(settings("settings", &json!({"greeting": "Namaste"}), &limits), Ok(()));
    }
}
