//! Which digits are a person's: phones, payment cards, Aadhaar. Plain functions over digits; they know no text.

/// Mobile numbers as dialled at home or abroad, and fixed lines with the trunk 0.
pub(super) fn is_indian_phone(digits: &[u8]) -> bool {
    match digits {
        [6..=9, rest @ ..] if rest.len() == 9 => true,
        [0, 1..=9, rest @ ..] if rest.len() == 9 => true,
        [9, 1, 1..=9, rest @ ..] if rest.len() == 9 => true,
        [0, 0, 9, 1, 1..=9, rest @ ..] if rest.len() == 9 => true,
        _ => false,
    }
}

/// 14 to 19 digits of an issuer that exists, with a right Luhn check digit (ISO/IEC 7812-1).
pub(super) fn is_card(digits: &[u8]) -> bool {
    if !(14..=19).contains(&digits.len()) || !matches!(digits[0], 2..=6 | 8) {
        return false;
    }
    let sum: u32 = digits.iter().rev().enumerate().map(|(at, d)| luhn(at, *d)).sum();
    sum.is_multiple_of(10)
}

fn luhn(at: usize, digit: u8) -> u32 {
    let doubled = u32::from(digit) * if at % 2 == 1 { 2 } else { 1 };
    if doubled > 9 { doubled - 9 } else { doubled }
}

/// 12 digits, the first 2 to 9, with a right check digit (UIDAI).
pub(super) fn is_aadhaar(digits: &[u8]) -> bool {
    digits.len() == 12 && digits[0] >= 2 && is_verhoeff(digits)
}

/// Whether the last digit checks the others (J. Verhoeff, "Error Detecting Decimal Codes", 1969).
fn is_verhoeff(digits: &[u8]) -> bool {
    digits.iter().rev().enumerate().fold(0, |check, (at, digit)| dihedral(check, permuted(*digit, at))) == 0
}

/// Product in the dihedral group of order ten.
fn dihedral(a: u8, b: u8) -> u8 {
    match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a - 5 + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    }
}

/// Verhoeff's permutation, applied `times` times.
fn permuted(digit: u8, times: usize) -> u8 {
    const ONCE: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    (0..times % 8).fold(digit, |d, _| ONCE[usize::from(d)])
}

/// Holders of an Indian tax number, its fourth letter.
pub(super) const PAN_HOLDERS: &[u8; 10] = b"ABCFGHJLPT";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verhoeff_finds_every_wrong_digit_and_every_swap() {
        for known in [&[2, 3, 6, 3][..], &[1, 2, 3, 4, 5, 1], &[1, 4, 2, 8, 5, 7, 0]] {
            assert!(is_verhoeff(known), "{known:?}");
        }
        let right = [2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 6];
        for at in 0..12 {
            for wrong in (0..10).filter(|digit| *digit != right[at]) {
                let mut digits = right;
                digits[at] = wrong;
                assert!(!is_verhoeff(&digits), "{digits:?}");
            }
            let mut swapped = right;
            swapped.swap(at, (at + 1) % 12);
            assert!(at == 11 || !is_verhoeff(&swapped), "{swapped:?}");
        }
    }
}
