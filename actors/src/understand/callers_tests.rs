//! What callers say to a shop or a clinic, labelled before anybody looked at what comes out.

use super::{Surroundings, understand};
use crate::domain::{Understanding, Wish, Yes};

const CALLERS: &str = include_str!("../../../tests/fixtures/understand/callers.txt");
/// So sure, a call acts on a wish, and on one for a person that is said twice.
const SURE: f32 = 0.7;
const PERHAPS: f32 = 0.5;

/// Label, what the agent said last, and what the caller said.
fn lines() -> Vec<(&'static str, &'static str, &'static str)> {
    let (mut lines, mut asked) = (Vec::new(), "");
    for line in CALLERS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.split_once(' ').expect("a mark and a text") {
            ("@", text) => asked = text,
            (label, texts) => lines.extend(texts.split(" | ").map(|text| (label.trim_end_matches(':'), asked, text))),
        }
    }
    lines
}

fn meant(asked: &str, text: &str) -> Understanding {
    let now = chrono::NaiveDate::from_ymd_opt(2026, 11, 25).and_then(|day| day.and_hms_opt(11, 0, 0));
    understand(text, Surroundings { asked, now, ..Surroundings::default() })
}

fn agrees(meant: &Understanding) -> bool {
    matches!(meant.yes, Yes::Said | Yes::ToAll | Yes::Ordered)
}

fn wants(meant: &Understanding, wish: Wish, confidence: f32) -> bool {
    meant.wish == Some(wish) && meant.confidence >= confidence
}

/// Which lines of some labels are not as they should be.
fn wrong(labels: &[&str], right: impl Fn(&Understanding) -> bool) -> (Vec<String>, usize) {
    let of: Vec<_> = lines().into_iter().filter(|(label, ..)| labels.contains(label)).collect();
    assert!(!of.is_empty(), "{labels:?}");
    let wrong = of.iter().filter(|(_, asked, text)| !right(&meant(asked, text)));
    (wrong.map(|(label, asked, text)| format!("{label}: {text} [{asked}]")).collect(), of.len())
}

#[test]
fn a_no_a_change_a_question_and_a_hesitation_are_never_taken_for_a_yes() {
    let (wrong, lines) = wrong(&["no", "noyes", "change", "question", "hes"], |meant| !agrees(meant));
    assert!(lines > 1000, "{lines}");
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn nearly_every_yes_is_one_and_none_is_taken_for_a_no() {
    let (missed, lines) = wrong(&["yes"], agrees);
    assert!(missed.len() * 30 <= lines, "{} of {lines}: {missed:#?}", missed.len());
    assert_eq!(wrong(&["yes"], |meant| meant.yes != Yes::Refused).0, Vec::<String>::new());
}

#[test]
fn a_no_is_seldom_left_open() {
    let (open, lines) = wrong(&["no"], |meant| meant.yes == Yes::Refused);
    assert!(open.len() * 20 <= lines, "{open:#?}");
    let (open, lines) = wrong(&["noyes"], |meant| meant.yes == Yes::Refused);
    assert!(open.len() * 5 <= lines * 2, "{} of {lines}: {open:#?}", open.len());
}

#[test]
fn wishes_of_the_call_are_found_and_nothing_near_them_is_one() {
    for (label, wish) in [("person", Wish::Person), ("dnc", Wish::NoCalls), ("wrong", Wish::WrongNumber)] {
        let (missed, lines) = wrong(&[label], |meant| wants(meant, wish, SURE));
        assert!(missed.len() * 20 <= lines, "{missed:#?}");
    }
    for (label, wish, confidence) in
        [("pernear", Wish::Person, PERHAPS), ("dncnear", Wish::NoCalls, SURE), ("wrongnear", Wish::WrongNumber, SURE)]
    {
        assert_eq!(wrong(&[label], |meant| !wants(meant, wish, confidence)).0, Vec::<String>::new());
    }
    assert_eq!(wrong(&["abuse"], |meant| meant.abusive).0, Vec::<String>::new());
    assert_eq!(wrong(&["abusenear"], |meant| !meant.abusive).0, Vec::<String>::new());
}
