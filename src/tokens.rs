//! Signed tokens for the URLs Caly hands out, and the comparisons and hashes that secrets need.
//!
//! Owns the token format: `base64url(payload).base64url(HMAC-SHA256)`, where the payload binds purpose, call, client and
//! expiry. Knows no route and keeps no list: a token is good wherever the key is known, until it expires.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking"))]

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use caly_actors::domain::{CallId, ClientId};
use ring::{digest, hmac, rand};
use uuid::Uuid;

/// Version, purpose, call, client, expiry.
const PAYLOAD_BYTES: usize = 1 + 1 + 16 + 16 + 8;
/// Format written and accepted.
const VERSION: u8 = 1;
/// Longest text looked at; a real token has 100 characters.
const TOKEN_CHARS_MAX: usize = 256;

/// What a token opens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// The media socket of one call.
    Media,
    /// Webhooks about one call. No door takes such a token: the carrier's URLs carry the client's secret.
    Webhook,
}

impl Purpose {
    fn code(self) -> u8 {
        match self {
            Self::Media => 1,
            Self::Webhook => 2,
        }
    }
}

/// What a good token says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claims {
    /// The call it was made for.
    pub call: CallId,
    /// Whose call that is.
    pub client: ClientId,
}

/// Why a token is refused. The outside is told none of this but that it is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenError {
    /// Not a token's shape.
    #[error("malformed token")]
    Malformed,
    /// Not signed by this key, or made for another purpose.
    #[error("forged token")]
    Forged,
    /// Too old.
    #[error("expired token")]
    Expired,
}

/// Mints and verifies tokens with one key. `Debug` shows nothing.
#[derive(Clone)]
pub struct Tokens {
    key: hmac::Key,
    /// Accepted, never signed with: the key before a rotation.
    former: Option<hmac::Key>,
    /// The wall clock when the process began, and the monotonic one.
    began: (SystemTime, Instant),
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    /// Signs with a secret of any length; 32 random bytes are right.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self { key: token_key(secret), former: None, began: (SystemTime::now(), Instant::now()) }
    }

    /// Accepts tokens of the secret before this one too, for as long as a rotation takes.
    #[must_use]
    pub fn accepting_former(mut self, secret: &[u8]) -> Self {
        self.former = Some(token_key(secret));
        self
    }

    /// The time tokens are made and judged by: the wall clock of the start, and what has passed since. A clock that jumps
    /// meanwhile ends no token early and lets none live longer.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.began.0 + self.began.1.elapsed()
    }

    /// A URL-safe token, good until `expires` (whole seconds).
    #[must_use]
    pub fn mint(&self, purpose: Purpose, call: CallId, client: ClientId, expires: SystemTime) -> String {
        let expires = expires.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut payload = Vec::with_capacity(PAYLOAD_BYTES);
        payload.extend([VERSION, purpose.code()]);
        payload.extend(call.0.as_bytes());
        payload.extend(client.0.as_bytes());
        payload.extend(expires.to_be_bytes());
        let signature = hmac::sign(&self.key, &payload);
        format!("{}.{}", URL_SAFE_NO_PAD.encode(&payload), URL_SAFE_NO_PAD.encode(signature))
    }

    /// Reads a token back; the signature is checked first and in constant time.
    ///
    /// # Errors
    /// See [`TokenError`]; a token of another purpose counts as forged.
    pub fn verify(&self, token: &str, purpose: Purpose, now: SystemTime) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_CHARS_MAX {
            return Err(TokenError::Malformed);
        }
        let (payload, signature) = token.split_once('.').ok_or(TokenError::Malformed)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| TokenError::Malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Malformed)?;
        let payload: [u8; PAYLOAD_BYTES] = payload.try_into().map_err(|_| TokenError::Malformed)?;
        let signed = |key| hmac::verify(key, &payload, &signature).is_ok();
        if !signed(&self.key) && !self.former.as_ref().is_some_and(signed) {
            return Err(TokenError::Forged);
        }
        if payload[0] != VERSION || payload[1] != purpose.code() {
            return Err(TokenError::Forged);
        }
        let expires = u64::from_be_bytes(array(&payload[34..])?);
        let expires = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(expires)).ok_or(TokenError::Malformed)?;
        if now >= expires {
            return Err(TokenError::Expired);
        }
        Ok(Claims {
            call: CallId(Uuid::from_bytes(array(&payload[2..18])?)),
            client: ClientId(Uuid::from_bytes(array(&payload[18..34])?)),
        })
    }
}

/// Tokens get a key of their own from the secret, so that nothing else signed with it can pass for one.
fn token_key(secret: &[u8]) -> hmac::Key {
    let master = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&master, b"caly url token v1").as_ref())
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], TokenError> {
    bytes.try_into().map_err(|_| TokenError::Malformed)
}

/// Compares without telling by its duration where two texts differ, or how long the secret is: both sides are hashed
/// under a key of this moment, and the hashes compared.
#[must_use]
pub fn constant_time_eq(one: &[u8], other: &[u8]) -> bool {
    let Ok(key) = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new()) else { return false };
    let tag = hmac::sign(&key, one);
    hmac::verify(&key, other, tag.as_ref()).is_ok()
}

/// Lower-case hex of SHA-256: how secrets of high entropy (keys made by Caly) are kept at rest.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// Whether a secret is the one whose [`sha256_hex`] was kept; constant time.
#[must_use]
pub fn secret_matches(secret: &[u8], kept_sha256_hex: &str) -> bool {
    constant_time_eq(sha256_hex(secret).as_bytes(), kept_sha256_hex.to_ascii_lowercase().as_bytes())
}

/// 32 random bytes as 43 URL-safe characters: a webhook key, an API key's secret part.
///
/// # Errors
/// The system has no randomness to give.
pub fn random_secret() -> Result<String, ring::error::Unspecified> {
    let bytes: [u8; 32] = rand::generate(&rand::SystemRandom::new())?.expose();
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Whether `header_hex` is the HMAC-SHA256 of the raw body, as hex in either case, `sha256=` in front or not.
#[must_use]
pub fn signature_matches(secret: &[u8], body: &[u8], header_hex: &str) -> bool {
    let text = header_hex.trim();
    let text = text.strip_prefix("sha256=").unwrap_or(text);
    let Some(signature) = from_hex(text) else { return false };
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), body, &signature).is_ok()
}

/// The same, where the signature is base64.
#[must_use]
pub fn base64_signature_matches(secret: &[u8], body: &[u8], header: &str) -> bool {
    let Ok(signature) = STANDARD.decode(header.trim()) else { return false };
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), body, &signature).is_ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|d| char::from_digit(u32::from(d), 16)).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    if text.len() != 64 {
        return None;
    }
    text.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn minted(tokens: &Tokens) -> (String, Claims) {
        let claims = Claims { call: CallId::new(), client: ClientId::new() };
        (tokens.mint(Purpose::Media, claims.call, claims.client, at(1000)), claims)
    }

    #[test]
    fn a_token_says_what_it_was_minted_for() {
        let tokens = Tokens::new(b"secret");
        let (token, claims) = minted(&tokens);
        assert_eq!(tokens.verify(&token, Purpose::Media, at(999)), Ok(claims));
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{token}");
    }

    #[test]
    fn a_token_is_refused_by_another_key_for_another_purpose_and_after_its_time() {
        let tokens = Tokens::new(b"secret");
        let (token, claims) = minted(&tokens);
        assert_eq!(tokens.verify(&token, Purpose::Webhook, at(0)), Err(TokenError::Forged));
        assert_eq!(Tokens::new(b"other").verify(&token, Purpose::Media, at(0)), Err(TokenError::Forged));
        assert_eq!(tokens.verify(&token, Purpose::Media, at(1000)), Err(TokenError::Expired));
        let rotated = Tokens::new(b"new").accepting_former(b"secret");
        assert_eq!(rotated.verify(&token, Purpose::Media, at(0)), Ok(claims));
    }

    #[test]
    fn a_token_changed_anywhere_is_refused() {
        let tokens = Tokens::new(b"secret");
        let (token, _) = minted(&tokens);
        for at_char in 0..token.len() {
            for replacement in ['A', 'z', '.', '%'] {
                let mut changed: Vec<char> = token.chars().collect();
                if changed[at_char] == replacement {
                    continue;
                }
                changed[at_char] = replacement;
                let changed: String = changed.into_iter().collect();
                assert!(tokens.verify(&changed, Purpose::Media, at(0)).is_err(), "{changed}");
            }
            assert!(tokens.verify(&token[..at_char], Purpose::Media, at(0)).is_err());
        }
        for text in
            ["", ".", "a", "made-up", "a.b", "ä.ö", &"x".repeat(10_000), &format!("{token}.x"), &format!("{token}=")]
        {
            assert_eq!(tokens.verify(text, Purpose::Media, at(0)), Err(TokenError::Malformed), "{text}");
        }
    }

    #[test]
    fn comparison_knows_equal_from_unequal() {
        assert!(constant_time_eq(b"abc", b"abc") && constant_time_eq(b"", b""));
        assert!(
            !constant_time_eq(b"abc", b"abd") && !constant_time_eq(b"abc", b"abcd") && !constant_time_eq(b"", b"a")
        );
    }

    #[test]
    fn secrets_are_kept_as_their_hash() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_hex(b"abc"), expected);
        assert!(secret_matches(b"abc", expected) && secret_matches(b"abc", &expected.to_uppercase()));
        assert!(
            !secret_matches(b"abd", expected)
                && !secret_matches(b"abc", "")
                && !secret_matches(b"abc", &expected[..63])
        );
        let (one, other) = (random_secret().unwrap(), random_secret().unwrap());
        assert!(one != other && one.len() == 43);
    }

    #[test]
    fn a_body_signature_is_checked_in_both_spellings() {
        // RFC 4231, test case 2.
        let good = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let matches = |header: &str| signature_matches(b"Jefe", b"what do ya want for nothing?", header);
        assert!(matches(good) && matches(&good.to_uppercase()) && matches(&format!(" sha256={good} ")));
        for bad in
            ["", "5bdc", &good[..62], &good.replace('5', "6"), &format!("{good}00"), &"z".repeat(64), &"é".repeat(32)]
        {
            assert!(!matches(bad), "{bad}");
        }
        assert!(!signature_matches(b"Jefe", b"what do ya want for nothing!", good));
        let base64 = STANDARD.encode(from_hex(good).unwrap());
        let matches = |header: &str| base64_signature_matches(b"Jefe", b"what do ya want for nothing?", header);
        assert!(matches(&base64) && matches(&format!(" {base64} ")));
        for bad in ["", good, &base64[..40], &base64.to_lowercase(), "====", &format!("{base64}AAAA")] {
            assert!(!matches(bad), "{bad}");
        }
    }
}
