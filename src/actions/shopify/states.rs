//! Which state of India a PIN code lies in, as far as its first three digits, the sorting district of India Post, tell.
//!
//! Where a sorting district reaches into two states, or a code is served across a border, nobody is told a state: the caller
//! is asked. Codes are those that Shopify uses. Compared with the zones and `zip_prefixes` of Shopify's `worldwide`, and with
//! the villages that went from Telangana to Andhra Pradesh in 2014 (507).

/// First and last sorting district of a row, and its states; several are a question.
const DISTRICTS: &[(u16, u16, &[&str])] = &[
    (110, 110, &["DL"]),
    (121, 136, &["HR"]),
    (140, 159, &["PB"]),
    (160, 160, &["CH", "PB"]),
    (171, 177, &["HP"]),
    (180, 193, &["JK"]),
    (194, 194, &["LA"]),
    (201, 243, &["UP"]),
    (244, 244, &["UP", "UK"]),
    (245, 245, &["UP"]),
    (246, 247, &["UP", "UK"]),
    (248, 249, &["UK"]),
    (250, 261, &["UP"]),
    (262, 262, &["UP", "UK"]),
    (263, 263, &["UK"]),
    (271, 285, &["UP"]),
    (301, 345, &["RJ"]),
    (360, 361, &["GJ"]),
    // Diu lies in the middle of Junagadh.
    (362, 362, &["GJ", "DD"]),
    (363, 395, &["GJ"]),
    // Daman, Dadra and Nagar Haveli between Valsad and Navsari.
    (396, 396, &["GJ", "DD", "DN"]),
    (400, 402, &["MH"]),
    (403, 403, &["GA"]),
    (410, 445, &["MH"]),
    (450, 488, &["MP"]),
    (490, 497, &["CG"]),
    (500, 506, &["TS"]),
    (507, 507, &["TS", "AP"]),
    (508, 509, &["TS"]),
    (515, 532, &["AP"]),
    // Yanam.
    (533, 533, &["AP", "PY"]),
    (534, 535, &["AP"]),
    (560, 591, &["KA"]),
    (600, 604, &["TN"]),
    (605, 605, &["TN", "PY"]),
    (606, 606, &["TN"]),
    (607, 607, &["TN", "PY"]),
    (608, 608, &["TN"]),
    // Karaikal.
    (609, 609, &["TN", "PY"]),
    (610, 643, &["TN"]),
    (670, 671, &["KL"]),
    // Mahe.
    (673, 673, &["KL", "PY"]),
    (676, 680, &["KL"]),
    // Lakshadweep is reached over Kochi.
    (682, 682, &["KL", "LD"]),
    (683, 695, &["KL"]),
    (700, 736, &["WB"]),
    (737, 737, &["SK"]),
    (741, 743, &["WB"]),
    (744, 744, &["AN"]),
    (751, 770, &["OR"]),
    (781, 788, &["AS"]),
    (790, 792, &["AR"]),
    (793, 794, &["ML"]),
    (795, 795, &["MN"]),
    (796, 796, &["MZ"]),
    (797, 798, &["NL"]),
    (799, 799, &["TR"]),
    (800, 812, &["BR"]),
    (813, 814, &["BR", "JH"]),
    (815, 816, &["JH"]),
    (821, 821, &["BR"]),
    (822, 822, &["JH"]),
    (823, 824, &["BR"]),
    (825, 835, &["JH"]),
    (841, 855, &["BR"]),
];

/// Codes of one state's sorting district whose post offices deliver in the next one too.
const ACROSS: &[(&str, &[&str])] = &[
    ("110025", &["DL", "UP"]),
    ("781029", &["AS", "ML"]),
    ("781131", &["AS", "ML"]),
    ("782410", &["AS", "ML"]),
    ("783123", &["AS", "ML"]),
    ("783134", &["AS", "ML"]),
    ("802131", &["BR", "UP"]),
];

/// Other codes that are in use for the same state.
const SPELT: [(&str, &str); 5] = [("TG", "TS"), ("OD", "OR"), ("UT", "UK"), ("CT", "CG"), ("DH", "DD")];

/// The states in which a PIN code may lie: one is certain, none is not known (the army's, say), several are a question.
pub(super) fn of_pin(pin: &str) -> &'static [&'static str] {
    if let Some((_, states)) = ACROSS.iter().find(|(code, _)| *code == pin) {
        return states;
    }
    let Some(district) = pin.get(..3).and_then(|digits| digits.parse::<u16>().ok()) else { return &[] };
    let row = DISTRICTS.iter().find(|(first, last, _)| (*first..=*last).contains(&district));
    row.map_or(&[], |(_, _, states)| states)
}

/// The code that Shopify uses for it.
pub(super) fn spelt(code: &str) -> &str {
    SPELT.iter().find(|(other, _)| *other == code).map_or(code, |(_, ours)| ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_three_digits_tell_the_state_where_they_can() {
        for (pin, states) in [
            ("110003", "DL"),
            ("122001", "HR"),
            ("141002", "PB"),
            ("160017", "CH PB"),
            ("171001", "HP"),
            ("190001", "JK"),
            ("194101", "LA"),
            ("226001", "UP"),
            ("244715", "UP UK"),
            ("246149", "UP UK"),
            ("247667", "UP UK"),
            ("248001", "UK"),
            ("262501", "UP UK"),
            ("302001", "RJ"),
            ("362520", "GJ DD"),
            ("380001", "GJ"),
            ("396210", "GJ DD DN"),
            ("396445", "GJ DD DN"),
            ("400050", "MH"),
            ("403001", "GA"),
            ("411004", "MH"),
            ("462001", "MP"),
            ("492001", "CG"),
            ("500081", "TS"),
            ("507114", "TS AP"),
            ("520001", "AP"),
            ("533464", "AP PY"),
            ("560001", "KA"),
            ("600004", "TN"),
            ("605001", "TN PY"),
            ("609602", "TN PY"),
            ("673310", "KL PY"),
            ("682031", "KL LD"),
            ("695001", "KL"),
            ("700019", "WB"),
            ("737101", "SK"),
            ("744101", "AN"),
            ("751001", "OR"),
            ("781001", "AS"),
            ("781131", "AS ML"),
            ("791111", "AR"),
            ("793001", "ML"),
            ("795001", "MN"),
            ("796001", "MZ"),
            ("797001", "NL"),
            ("799001", "TR"),
            ("800001", "BR"),
            ("814112", "BR JH"),
            ("834001", "JH"),
            ("848101", "BR"),
            // The army's, and districts that do not exist.
            ("900056", ""),
            ("999999", ""),
            ("100001", ""),
            ("290001", ""),
            ("", ""),
        ] {
            assert_eq!(of_pin(pin).join(" "), states, "{pin}");
        }
    }

    #[test]
    fn rows_stand_in_order_and_none_holds_another() {
        for pair in DISTRICTS.windows(2) {
            assert!(pair[0].0 <= pair[0].1 && pair[0].1 < pair[1].0, "{pair:?}");
        }
        for (code, states) in ACROSS {
            assert!(code.len() == 6 && states.len() > 1, "{code}");
        }
    }

    #[test]
    fn a_state_has_one_code_however_it_is_abbreviated() {
        for (code, ours) in [("TG", "TS"), ("TS", "TS"), ("OD", "OR"), ("UT", "UK"), ("MH", "MH"), ("XX", "XX")] {
            assert_eq!(spelt(code), ours);
        }
    }
}
