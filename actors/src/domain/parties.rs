//! Who is on the line: numbers, parties, direction.

use std::fmt;
use std::sync::Arc;

use super::InvalidValue;

/// A phone number in E.164: `+` and 7 to 15 digits. `Debug` and `Display` mask it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PhoneNumber(Arc<str>);

impl PhoneNumber {
    /// # Errors
    /// A text that is not `+` followed by 7 to 15 digits, the first not 0.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let digits = text.strip_prefix('+').unwrap_or("");
        let fits =
            (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        if fits { Ok(Self(text.into())) } else { Err(InvalidValue("a phone number in E.164, as +919876543210")) }
    }

    /// The whole number. For the carrier, the database and the admin API only; logs take `Display`.
    #[must_use]
    pub fn as_e164(&self) -> &str {
        &self.0
    }

    /// `+9198xxxxxx10`: enough to recognise, not enough to dial.
    #[must_use]
    pub fn masked(&self) -> String {
        mask_digits(&self.0)
    }
}

/// Keeps the first five and the last two characters of a number and masks the rest.
#[must_use]
pub fn mask_digits(number: &str) -> String {
    let length = number.chars().count();
    number.chars().enumerate().map(|(at, c)| if at < 5.min(length / 2) || at + 2 >= length { c } else { 'x' }).collect()
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

/// One end of a call.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Party {
    /// A number that can be dialled from anywhere.
    Number(PhoneNumber),
    /// A number only its own country knows (toll-free `1800…`, short codes): digits as received.
    National(Arc<str>),
    /// A `sip:` address as received.
    Sip(Arc<str>),
    /// Withheld, `anonymous`, or unreadable.
    Withheld,
}

impl Party {
    /// The E.164 number, if there is one.
    #[must_use]
    pub fn number(&self) -> Option<&PhoneNumber> {
        match self {
            Self::Number(number) => Some(number),
            Self::National(_) | Self::Sip(_) | Self::Withheld => None,
        }
    }

    /// What the database keeps: E.164, national digits, a SIP address, or nothing.
    #[must_use]
    pub fn stored(&self) -> Option<&str> {
        match self {
            Self::Number(number) => Some(number.as_e164()),
            Self::National(text) | Self::Sip(text) => Some(text),
            Self::Withheld => None,
        }
    }
}

/// Who began the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// The caller rang the client's number.
    Inbound,
    /// The client's number rang the caller.
    Outbound,
}

impl Direction {
    /// The word used in the database and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}
