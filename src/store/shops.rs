//! The shop of a client: what opens it, and which domains can be one.

use secrecy::{ExposeSecret as _, SecretString};

use super::error::StoreError;

/// Where all shops lie.
const SHOPS: &str = ".myshopify.com";
/// Longest label of a domain.
const LABEL_MAX: usize = 63;

/// A shop and what opens it. Never printed.
#[derive(Clone)]
pub struct Shop {
    /// `….myshopify.com`.
    pub domain: String,
    /// Admin API access token.
    pub token: SecretString,
    /// Key of its webhooks; without one they are refused.
    pub webhook_secret: Option<SecretString>,
}

impl Shop {
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if is_shop_domain(&self.domain) {
            return Ok(());
        }
        Err(StoreError::Invalid("shop domain: expected a name such as my-shop.myshopify.com".to_owned()))
    }

    pub(super) fn values(self) -> (Option<String>, Option<String>, Option<String>) {
        let secret = |secret: &SecretString| secret.expose_secret().to_owned();
        (Some(self.domain), Some(secret(&self.token)), self.webhook_secret.as_ref().map(secret))
    }
}

impl std::fmt::Debug for Shop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shop({})", self.domain)
    }
}

/// Whether a text is the domain of a shop and nothing else: requests with a token go there.
#[must_use]
pub fn is_shop_domain(text: &str) -> bool {
    let Some(label) = text.strip_suffix(SHOPS) else { return false };
    (1..=LABEL_MAX).contains(&label.len())
        && !label.starts_with('-')
        && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_shop_is_a_shop() {
        let long = format!("{}.myshopify.com", "a".repeat(64));
        for (text, fits) in [
            ("my-shop.myshopify.com", true),
            ("1.myshopify.com", true),
            ("-a.myshopify.com", false),
            (".myshopify.com", false),
            ("myshopify.com", false),
            ("a.b.myshopify.com", false),
            ("A.myshopify.com", false),
            ("a.myshopify.com.evil.example", false),
            ("evil.example/a.myshopify.com", false),
            ("evil.example#.myshopify.com", false),
            ("user@a.myshopify.com", false),
            ("a.myshopify.com:8443", false),
            ("a.myshopify.com\n", false),
            ("a_b.myshopify.com", false),
            ("\u{fc}.myshopify.com", false),
            (&long, false),
            ("", false),
        ] {
            assert_eq!(is_shop_domain(text), fits, "{text:?}");
        }
    }
}
