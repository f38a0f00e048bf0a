//! From raw settings to types: every failure is noted with its key and reading goes on, so that all are told at once.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use url::{Host, Url};

use super::Problem;
use super::layers::{Raw, Setting, Settings, nearest};

/// Reads typed values and remembers what was wrong and what was read.
pub(super) struct Reader<'a> {
    pub(super) settings: &'a Settings,
    pub(super) problems: Vec<Problem>,
    pub(super) read: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(settings: &'a Settings, problems: Vec<Problem>) -> Self {
        Self { settings, problems, read: BTreeSet::new() }
    }

    fn setting(&mut self, key: &str) -> Option<&'a Setting> {
        self.read.insert(key.to_owned());
        let found = self.settings.get(key);
        if found.is_none() {
            self.problems.push(Problem::new(key, "is missing from the embedded config.toml"));
        }
        found
    }

    pub(super) fn problem(&mut self, key: &str, reason: &str) {
        let from = self.settings.get(key).map_or_else(String::new, |s| format!(" (from {})", s.source));
        self.problems.push(Problem::new(key, format!("{reason}{from}")));
    }

    pub(super) fn text(&mut self, key: &str) -> String {
        match self.setting(key).map(|s| &s.raw) {
            Some(Raw::Text(text)) => text.trim().to_owned(),
            None => String::new(),
            Some(_) => {
                self.problem(key, "expected a text in quotes");
                String::new()
            }
        }
    }

    pub(super) fn filled(&mut self, key: &str) -> String {
        let text = self.text(key);
        if text.is_empty() {
            self.problem(key, "must not be empty");
        }
        text
    }

    pub(super) fn whole(&mut self, key: &str, range: RangeInclusive<u64>) -> u64 {
        let number = match self.setting(key).map(|s| &s.raw) {
            Some(Raw::Whole(number)) => u64::try_from(*number).ok(),
            Some(Raw::Text(text)) => text.trim().parse().ok(),
            _ => None,
        };
        match number.filter(|n| range.contains(n)) {
            Some(number) => number,
            None => {
                self.problem(key, &format!("expected a whole number from {} to {}", range.start(), range.end()));
                *range.start()
            }
        }
    }

    pub(super) fn count(&mut self, key: &str, range: RangeInclusive<u32>) -> u32 {
        let wide = u64::from(*range.start())..=u64::from(*range.end());
        u32::try_from(self.whole(key, wide)).unwrap_or(u32::MAX)
    }

    pub(super) fn flag(&mut self, key: &str) -> bool {
        match self.setting(key).map(|s| &s.raw) {
            Some(Raw::Flag(flag)) => *flag,
            Some(Raw::Text(text)) if matches!(text.trim(), "true" | "1" | "yes" | "on") => true,
            Some(Raw::Text(text)) if matches!(text.trim(), "false" | "0" | "no" | "off") => false,
            _ => {
                self.problem(key, "expected true or false");
                false
            }
        }
    }

    pub(super) fn list(&mut self, key: &str) -> Vec<String> {
        match self.setting(key).map(|s| &s.raw) {
            Some(Raw::List(items)) => items.clone(),
            Some(Raw::Text(text)) => {
                text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
            }
            _ => {
                self.problem(key, "expected a list of texts");
                Vec::new()
            }
        }
    }

    pub(super) fn duration(&mut self, key: &str, range: RangeInclusive<Duration>) -> Duration {
        let parsed = match self.setting(key).map(|s| &s.raw) {
            Some(Raw::Text(text)) => parse_duration(text.trim()),
            _ => None,
        };
        match parsed {
            Some(duration) if range.contains(&duration) => duration,
            Some(_) => {
                self.problem(key, &format!("expected a duration from {:?} to {:?}", range.start(), range.end()));
                *range.start()
            }
            None => {
                self.problem(key, "expected a duration such as \"20ms\", \"45s\" or \"30m\"");
                *range.start()
            }
        }
    }

    /// One of a few words; the first is taken when the value is none of them.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let word = self.text(key);
        if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == word) {
            return Some(*choice);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let near = nearest(&word, names.iter().copied()).map_or_else(String::new, |n| format!("; did you mean {n}?"));
        self.problem(key, &format!("expected one of {}{near}", names.join(", ")));
        choices.first().map(|(_, choice)| *choice)
    }

    /// A vendor's address: encrypted, or on this machine.
    pub(super) fn service_url(&mut self, key: &str) -> String {
        let text = self.text(key);
        if text.is_empty() {
            return text;
        }
        match encrypted_or_local(&text) {
            Ok(url) => url.as_str().trim_end_matches('/').to_owned(),
            Err(reason) => {
                self.problem(key, &reason);
                text
            }
        }
    }
}

/// `45s`, `1m30s`, `20ms`; units d, h, m, s, ms.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let unit = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let millis = match &rest[..unit] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
        rest = rest[unit..].trim_start();
    }
    if text.is_empty() { None } else { Some(total) }
}

/// Whether a URL's host is this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn encrypted_or_local(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("not a URL: {e}"))?;
    match url.scheme() {
        "https" | "wss" => {}
        "http" | "ws" if is_loopback(&url) => {}
        "http" | "ws" => return Err(format!("{}:// is for this machine only: use https:// or wss://", url.scheme())),
        scheme => return Err(format!("expected https:// or wss://, not {scheme}:")),
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("has no host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold credentials".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not have a query or a fragment".to_owned());
    }
    Ok(url)
}

/// How the carrier reaches this server: a scheme and a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicUrl {
    authority: String,
    encrypted: bool,
}

impl PublicUrl {
    /// # Errors
    /// The reason why the text is not a public URL.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = encrypted_or_local(text)?;
        if !matches!(url.path(), "" | "/") {
            return Err(format!("must not have a path, but has {}", url.path()));
        }
        if url.port() == Some(0) {
            return Err("port 0 cannot be reached".to_owned());
        }
        let host = url.host_str().unwrap_or_default();
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self { authority, encrypted: matches!(url.scheme(), "https" | "wss") })
    }

    /// The address of this machine, for when none is configured.
    #[must_use]
    pub fn local(port: u16) -> Self {
        Self { authority: format!("127.0.0.1:{port}"), encrypted: false }
    }

    /// `https://host[:port]`, without a slash at the end.
    #[must_use]
    pub fn http(&self) -> String {
        format!("http{}://{}", if self.encrypted { "s" } else { "" }, self.authority)
    }

    /// `wss://host[:port]`, without a slash at the end.
    #[must_use]
    pub fn ws(&self) -> String {
        format!("ws{}://{}", if self.encrypted { "s" } else { "" }, self.authority)
    }

    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        Url::parse(&self.http()).is_ok_and(|url| is_loopback(&url))
    }

    /// `host[:port]`.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

/// An address or a network: `10.1.2.3`, `10.0.0.0/8`, `fd00::/8`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

impl Network {
    /// `None` when the text is neither an address nor a network.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address.parse().ok()?, Some(prefix.parse().ok()?)),
            None => (text.parse().ok()?, None),
        };
        let width = if matches!(address, IpAddr::V4(_)) { 32 } else { 128 };
        let prefix = prefix.unwrap_or(width);
        if prefix > width { None } else { Some(Self { base: address, prefix }) }
    }

    /// Whether the address lies in it. An IPv4 address written as IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = |a: u128, b: u128, width: u8| {
            let shift = u32::from(width - self.prefix.min(width));
            a.checked_shr(shift).unwrap_or(0) == b.checked_shr(shift).unwrap_or(0)
        };
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
            _ => false,
        }
    }
}
