//! Making and comparing secrets. A secret of 256 random bits needs no slow hash: nobody can try them all.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use super::error::StoreError;

/// 32 random bytes in base64url: 43 characters.
pub(super) fn random_secret() -> Result<String, StoreError> {
    let mut bytes = [0_u8; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| StoreError::Internal("no randomness".to_owned()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// SHA-256, as secrets are kept.
#[must_use]
pub fn hash_secret(secret: &str) -> Vec<u8> {
    digest(&SHA256, secret.as_bytes()).as_ref().to_vec()
}

/// Compares two hashes in a time that depends on their lengths only.
#[must_use]
pub fn same_hash(one: &[u8], other: &[u8]) -> bool {
    let difference = one.iter().zip(other).fold(0, |difference, (a, b)| difference | (a ^ b));
    one.len() == other.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn only_equal_hashes_are_the_same() {
        let hash = hash_secret("a");
        assert!(same_hash(&hash, &hash_secret("a")));
        assert!(!same_hash(&hash, &hash_secret("b")));
        assert!(!same_hash(&hash, &hash[..31]));
        assert!(!same_hash(&hash, &[]));
    }

    #[test]
    fn secrets_differ_and_are_long() {
        let (one, other) = (random_secret().unwrap(), random_secret().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 43);
    }
}
