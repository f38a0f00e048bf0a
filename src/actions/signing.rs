//! Who asks, told to a client's own endpoint, and the signature that keeps a request and what it says together.
//!
//! `X-Caly-Signature: t=<unix s>,v1=<hex>,v2=<hex>`, each an HMAC-SHA256 with the client's action key
//! (`caly client action-key`). `v1` covers `t.METHOD.path?query.body`. `v2` covers what says who asks as well:
//! `v2`, `t`, the method, `path?query`, `X-Caly-Caller`, `X-Caly-Call`, `Idempotency-Key` and the body, in this order, a line
//! feed between two of them. None but the body can hold a line feed, so no two requests share a text; a header that is not sent
//! counts as empty, so that one who takes it away is found out.

use std::fmt::Write as _;
use std::time::SystemTime;

use caly_actors::domain::Party;
use ring::hmac;
use url::Url;

/// Told where there is a caller and no number that could be relied on: withheld, or what a SIP caller writes of themselves.
const WITHHELD: &str = "withheld";

/// The number that rings, as tools of the client's own are told it.
pub(super) fn caller(party: &Party) -> &str {
    party.number().map_or(WITHHELD, |number| number.as_e164())
}

/// What makes one request differ from another.
#[derive(Clone, Copy)]
pub(super) struct Signed<'a> {
    pub url: &'a Url,
    /// Without a body then.
    pub get: bool,
    /// As in `X-Caly-Caller`; empty where it is not told.
    pub caller: &'a str,
    pub call: &'a str,
    pub key: &'a str,
    pub body: &'a str,
}

impl Signed<'_> {
    /// The header's value.
    pub(super) fn signature(&self, secret: &str, now: SystemTime) -> String {
        let time = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let (first, second) = (hex(&key, &self.first(time)), hex(&key, &self.second(time)));
        format!("t={time},v1={first},v2={second}")
    }

    fn place(&self) -> (&'static str, String, &str) {
        let query = self.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let (method, body) = if self.get { ("GET", "") } else { ("POST", self.body) };
        (method, format!("{}{query}", self.url.path()), body)
    }

    fn first(&self, time: u64) -> String {
        let (method, place, body) = self.place();
        format!("{time}.{method}.{place}.{body}")
    }

    fn second(&self, time: u64) -> String {
        let (method, place, body) = self.place();
        let time = time.to_string();
        ["v2", &time, method, &place, self.caller, self.call, self.key, body].join("\n")
    }
}

fn hex(key: &hmac::Key, text: &str) -> String {
    hmac::sign(key, text.as_bytes()).as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use caly_actors::domain::PhoneNumber;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn only_a_number_that_can_be_relied_on_is_told() {
        for (party, told) in [
            (Party::Number(PhoneNumber::parse("+919876543210").unwrap()), "+919876543210"),
            (Party::Withheld, "withheld"),
            (Party::Sip("sip:+919876543210@example.in".into()), "withheld"),
            (Party::National("1800123".into()), "withheld"),
        ] {
            assert_eq!(caller(&party), told, "{party:?}");
        }
    }

    #[test]
    fn the_first_signature_is_what_it_was_and_the_second_covers_who_asks() {
        let url = Url::parse("https://shop.example/orders/7?full=1").unwrap();
        let one = Signed { url: &url, get: true, caller: "+919876543210", call: "c1", key: "k1", body: "ignored" };
        assert_eq!(one.first(1_700_000_000), "1700000000.GET./orders/7?full=1.");
        assert_eq!(one.second(9), "v2\n9\nGET\n/orders/7?full=1\n+919876543210\nc1\nk1\n");
        let post = Signed { get: false, body: "{}", ..one };
        assert_eq!(post.first(1_700_000_000), "1700000000.POST./orders/7?full=1.{}");
        let signed = post.signature("secret", at(1_700_000_000));
        // Both worked out by another program: `printf … | openssl dgst -sha256 -hmac secret`.
        assert_eq!(signed, format!("t=1700000000,v1={V1},v2={V2}"));
    }
    const V1: &str = "fb5fdf1499e5e167bcb02b9db2782624163f67942fb6e75b18bcf4d31747ef4e";
    const V2: &str = "05b596355bc3922a68fdb825dd924c8b902b41be07ea5de9467342d84e171fdb";

    #[test]
    fn whatever_differs_between_two_requests_makes_another_signature() {
        let (url, other) = (Url::parse("https://x/a?b=1").unwrap(), Url::parse("https://x/a?b=2").unwrap());
        let one = Signed { url: &url, get: false, caller: "+919876543210", call: "c1", key: "k1", body: "{}" };
        let all = [
            one.signature("secret", at(1)),
            one.signature("secret", at(2)),
            one.signature("another", at(1)),
            Signed { url: &other, ..one }.signature("secret", at(1)),
            Signed { get: true, ..one }.signature("secret", at(1)),
            Signed { caller: "withheld", ..one }.signature("secret", at(1)),
            Signed { caller: "", ..one }.signature("secret", at(1)),
            Signed { call: "c2", ..one }.signature("secret", at(1)),
            Signed { key: "k2", ..one }.signature("secret", at(1)),
            Signed { body: "{ }", ..one }.signature("secret", at(1)),
        ];
        let seconds: HashSet<&str> = all.iter().map(|text| text.rsplit("v2=").next().unwrap()).collect();
        assert_eq!(seconds.len(), all.len(), "{all:?}");
    }
}
