//! Opaque marks of where a page ended: base64url of a time in microseconds and an id, the two columns lists are sorted by.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::error::StoreError;
use super::rows::Page;

/// Most rows of one page.
const LIMIT_MAX: u32 = 200;

/// The last row of the page before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cursor {
    pub(super) at: DateTime<Utc>,
    pub(super) id: Uuid,
}

impl Cursor {
    pub(super) fn encode(self) -> String {
        let mut bytes = [0_u8; 24];
        bytes[..8].copy_from_slice(&self.at.timestamp_micros().to_be_bytes());
        bytes[8..].copy_from_slice(self.id.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(super) fn decode(text: Option<&str>) -> Result<Option<Self>, StoreError> {
        let Some(text) = text else { return Ok(None) };
        let invalid = || StoreError::Invalid("cursor: give back what \"next\" said".to_owned());
        let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(text).ok().and_then(|b| b.try_into().ok()).ok_or_else(invalid)?;
        let (mut micros, mut id) = ([0_u8; 8], [0_u8; 16]);
        micros.copy_from_slice(&bytes[..8]);
        id.copy_from_slice(&bytes[8..]);
        let at = DateTime::from_timestamp_micros(i64::from_be_bytes(micros)).ok_or_else(invalid)?;
        // Beyond four digits of year the engines' orders of time differ.
        if !(0..=253_402_300_799).contains(&at.timestamp()) {
            return Err(invalid());
        }
        Ok(Some(Self { at, id: Uuid::from_bytes(id) }))
    }
}

/// Rows to ask for: one more than the page, which tells whether there is another.
pub(super) fn limit(asked: u32) -> i64 {
    i64::from(asked.clamp(1, LIMIT_MAX)) + 1
}

/// Cuts the extra row off and makes the cursor from the last that stays.
pub(super) fn page<T>(mut items: Vec<T>, asked: u32, key: impl Fn(&T) -> (DateTime<Utc>, Uuid)) -> Page<T> {
    let size = asked.clamp(1, LIMIT_MAX) as usize;
    let more = items.len() > size;
    items.truncate(size);
    let next = items.last().filter(|_| more).map(|last| {
        let (at, id) = key(last);
        Cursor { at, id }.encode()
    });
    Page { items, next }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let at = DateTime::from_timestamp_micros(1_763_000_000_123_456).unwrap();
        let cursor = Cursor { at, id: Uuid::now_v7() };
        assert_eq!(Cursor::decode(Some(&cursor.encode())), Ok(Some(cursor)));
    }

    #[test]
    fn a_made_up_cursor_is_invalid() {
        for text in ["", "x", "AAAA", "/////////////////////////////////", &URL_SAFE_NO_PAD.encode([0xff; 24])] {
            assert!(matches!(Cursor::decode(Some(text)), Err(StoreError::Invalid(_))), "{text}");
        }
    }
}
