//! Phone numbers as Exotel writes them: mostly `0` and ten digits, sometimes E.164, sometimes neither.
//!
//! Owns the reading rules of the wire and the way back. Knows nothing of who may be called. No number library is asked:
//! the rules below decide every form Exotel sends, and a generic parser without a region turns `0731…` into `+0731…`.

use caly_actors::domain::{Party, PhoneNumber};

/// Longest text looked at; a SIP address is the longest thing that fits.
const LENGTH_MAX: usize = 255;

/// Reads one end of a call.
///
/// | input (spaces, `-`, `(`, `)`, `.` stripped) | result |
/// |---|---|
/// | `sip:…` | [`Party::Sip`], as received |
/// | `+…` | E.164, unchanged |
/// | `00…` | `+` and the rest |
/// | `0` and 10 digits | `+91` and the 10 digits |
/// | 10 digits starting 2 to 9 | `+91` and the digits |
/// | `91` and 10 digits | `+` and the digits |
/// | other digits starting with 1 (toll-free, 140, 160) | [`Party::National`] |
/// | anything else | [`Party::Withheld`] |
#[must_use]
pub fn party(raw: &str) -> Party {
    let trimmed = raw.trim();
    if trimmed.len() > LENGTH_MAX || trimmed.chars().any(char::is_control) {
        return Party::Withheld;
    }
    if is_sip(trimmed) {
        return Party::Sip(trimmed.into());
    }
    let digits: String =
        trimmed.chars().filter(|c| !matches!(c, '-' | '(' | ')' | '.') && !c.is_whitespace()).collect();
    from_digits(&digits)
}

fn is_sip(text: &str) -> bool {
    ["sip:", "sips:"].iter().any(|scheme| {
        text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)) && text.len() > scheme.len()
    })
}

fn from_digits(text: &str) -> Party {
    if text.starts_with('+') {
        return number_or_withheld(text.to_owned());
    }
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Party::Withheld;
    }
    if let Some(rest) = text.strip_prefix("00") {
        return number_or_withheld(format!("+{rest}"));
    }
    match (text.len(), text.as_bytes()[0]) {
        (11, b'0') => number_or_withheld(format!("+91{}", &text[1..])),
        (10, b'2'..=b'9') => number_or_withheld(format!("+91{text}")),
        (12, _) if text.starts_with("91") => number_or_withheld(format!("+{text}")),
        (3..=15, b'1') => Party::National(text.into()),
        _ => Party::Withheld,
    }
}

fn number_or_withheld(text: String) -> Party {
    PhoneNumber::parse(&text).map_or(Party::Withheld, Party::Number)
}

/// The form Exotel's REST service takes for `From` and `CallerId`: `0XXXXXXXXXX` for India, else E.164.
#[must_use]
pub fn to_exotel(number: &PhoneNumber) -> String {
    match number.as_e164().strip_prefix("+91") {
        Some(national) if national.len() == 10 => format!("0{national}"),
        _ => number.as_e164().to_owned(),
    }
}

/// Whether two texts name the same number of a client. Within India the last ten digits decide, since the same number
/// arrives as `080…`, `80…`, `9180…` and `+9180…`; a withheld number is nobody's.
#[must_use]
pub fn same_did(one: &Party, other: &Party) -> bool {
    match (did_key(one), did_key(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// What a number is looked up by: ten digits for India, E.164 elsewhere, national digits or a lower-case SIP address.
#[must_use]
pub fn did_key(party: &Party) -> Option<String> {
    match party {
        Party::Number(number) => {
            let e164 = number.as_e164();
            let last_ten = e164.len().checked_sub(10).filter(|_| e164.starts_with("+91") && e164.len() >= 13);
            Some(last_ten.map_or_else(|| e164.to_owned(), |at| e164[at..].to_owned()))
        }
        Party::National(digits) => Some(digits.to_string()),
        Party::Sip(address) => Some(address.to_ascii_lowercase()),
        Party::Withheld => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(raw: &str) -> String {
        match party(raw) {
            Party::Number(number) => number.as_e164().to_owned(),
            Party::National(digits) => format!("national {digits}"),
            Party::Sip(address) => format!("sip {address}"),
            Party::Withheld => "withheld".to_owned(),
        }
    }

    #[test]
    fn every_form_on_the_wire_is_read_by_the_table() {
        let table = [
            ("09876543210", "+919876543210"),
            ("08047112233", "+918047112233"),
            ("0731 4001234", "+917314001234"),
            ("09513881234", "+919513881234"),
            ("9876543210", "+919876543210"),
            ("2227771234", "+912227771234"),
            ("9198765432", "+919198765432"),
            ("919876543210", "+919876543210"),
            (" 919876543210", "+919876543210"),
            ("+919876543210", "+919876543210"),
            ("+91 98765-43210", "+919876543210"),
            ("(+91) 98765.43210", "+919876543210"),
            ("+14155550123", "+14155550123"),
            ("0014155550123", "+14155550123"),
            ("00919876543210", "+919876543210"),
            ("18001234567", "national 18001234567"),
            ("1800 123 4567", "national 18001234567"),
            ("1860266266", "national 1860266266"),
            ("1401234567", "national 1401234567"),
            ("sip:agent@acme.example", "sip sip:agent@acme.example"),
            ("SIP:Agent@acme.example", "sip SIP:Agent@acme.example"),
            ("", "withheld"),
            ("anonymous", "withheld"),
            ("unknown", "withheld"),
            ("null", "withheld"),
            ("sip:", "withheld"),
            ("+", "withheld"),
            ("+0731400123", "withheld"),
            ("0", "withheld"),
            ("000", "withheld"),
            ("98765", "withheld"),
            ("98765432109876543210", "withheld"),
            ("'; drop table calls; --", "withheld"),
            ("+91987654\u{0}3210", "withheld"),
            ("+९१९८७६५४३२१०", "withheld"),
            ("९८७६५४३२१०", "withheld"),
            ("é876543210", "withheld"),
        ];
        for (raw, expected) in table {
            assert_eq!(stored(raw), expected, "{raw:?}");
        }
    }

    #[test]
    fn exotel_is_told_indian_numbers_in_national_form_and_others_in_e164() {
        let exotel = |text| to_exotel(&PhoneNumber::parse(text).unwrap());
        assert_eq!(exotel("+919876543210"), "09876543210");
        assert_eq!(exotel("+14155550123"), "+14155550123");
        assert_eq!(exotel("+9198765432"), "+9198765432");
    }

    #[test]
    fn one_did_is_the_same_in_all_its_spellings() {
        for spelling in ["08047112233", "8047112233", "918047112233", "+918047112233", "+9108047112233"] {
            assert!(same_did(&party(spelling), &party("08047112233")), "{spelling}");
        }
        assert!(!same_did(&party("08047112233"), &party("08047112234")));
        assert!(!same_did(&party("+18047112233"), &party("08047112233")));
        assert!(!same_did(&Party::Withheld, &Party::Withheld));
        assert!(same_did(&party("1800 123 4567"), &party("18001234567")));
    }

    #[test]
    fn a_number_survives_the_way_to_exotel_and_back() {
        for text in ["+919876543210", "+918047112233", "+14155550123"] {
            let number = PhoneNumber::parse(text).unwrap();
            assert_eq!(party(&to_exotel(&number)), Party::Number(number));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,40}") {
            let read = party(&text);
            let _ = did_key(&read);
        }
    }
}
