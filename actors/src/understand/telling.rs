//! Whether what was said tells of what would be done: all that a caller can hear of it, in whatever words, and no more than that.

use std::sync::Arc;

use chrono::{Datelike as _, NaiveDate, NaiveDateTime, NaiveTime};
use serde_json::Value;

use super::asked::day_of;
use super::lex::{Lex, What};
use super::moments::{Moment, moments};
use super::particulars::{Particular, particulars};
use super::vocabulary::{Unit, Word};
use super::{Surroundings, daytime, fold, keys, understand};
use crate::domain::Entity;

/// What of a plan was not said, as it might be said: order numbers, amounts, days and times of day, in digits or as they are
/// spoken, in either script. `now` is the caller's local time, for words such as *tomorrow*. Empty where all was said, and
/// where there is nothing that must be.
#[must_use]
pub fn untold(words: &str, plan: &Value, now: Option<NaiveDateTime>) -> Vec<String> {
    let heard = Heard::new(words, now);
    particulars(plan).iter().filter(|one| !heard.has(one)).map(Particular::said).collect()
}

/// What of a plan must be said before a yes to it counts.
#[must_use]
pub fn to_be_told(plan: &Value) -> Vec<String> {
    particulars(plan).iter().map(Particular::said).collect()
}

/// Whether words name one of the things in a plan that must be said: enough to tell it from another.
#[must_use]
pub fn points_at(words: &str, plan: &Value, now: Option<NaiveDateTime>) -> bool {
    let heard = Heard::new(words, now);
    particulars(plan).iter().any(|one| heard.has(one))
}

/// Whether what a caller named stands in none of the plans: another day or time, another number. A stretch of time, a count of
/// what is told in order and a name are not looked at.
#[must_use]
pub fn is_elsewhere(named: &Entity, plans: &[&Value], now: Option<NaiveDateTime>) -> bool {
    match named.kind {
        // "Do both", "a hundred percent".
        "number" if matches!(&*named.text, "do" | "hundred") => false,
        "datetime" => !plans.iter().any(|plan| tells_time(&named.text, plan, now)),
        "order_id" | "number" | "amount" | "phone" | "pincode" => {
            let numbers = runs(&named.value);
            !plans.iter().any(|plan| numbers.iter().all(|number| has_number(plan, number)))
        }
        _ => false,
    }
}

/// Whether every time that words tell is one of a plan. A plan whose times are told from Greenwich cannot say.
fn tells_time(words: &str, plan: &Value, now: Option<NaiveDateTime>) -> bool {
    let now = day_of(now);
    let mut planned: Vec<Moment> = Vec::new();
    for one in particulars(plan) {
        match one {
            Particular::Day(day) => planned.push(Moment::planned(Some(day), None)),
            Particular::Clock(hour, minute) => planned.push(Moment::planned(None, Some((hour, minute)))),
            Particular::Number(_) => {}
        }
    }
    let mut texts = Vec::new();
    texts_of(plan, &mut texts);
    let abroad = texts.iter().any(|text| chrono::DateTime::parse_from_rfc3339(text).is_ok());
    if planned.is_empty() && abroad {
        return true;
    }
    planned.extend(texts.iter().flat_map(|text| moments(text, &fold::tokens(text), now)));
    moments(words, &fold::tokens(words), now).iter().all(|moment| moment.is_among(&planned))
}

/// A telephone number may be named by its last digits, and a time by its bare hour.
fn has_number(plan: &Value, number: &str) -> bool {
    let mut numbers = Vec::new();
    marks_of(plan, &mut Vec::new(), &mut numbers);
    let part = |whole: &String| whole == number || (number.len() > 3 && whole.ends_with(number));
    let hour = |one: &Particular| match one {
        Particular::Clock(hour, minute) => Moment::planned(None, Some((*hour, *minute))).is_at(number),
        _ => false,
    };
    numbers.iter().any(part) || particulars(plan).iter().any(hour)
}

fn texts_of<'a>(plan: &'a Value, texts: &mut Vec<&'a str>) {
    match plan {
        Value::String(text) if texts.len() < MARKS_MAX => texts.push(text),
        Value::Array(list) => list.iter().for_each(|value| texts_of(value, texts)),
        Value::Object(map) => map.values().for_each(|value| texts_of(value, texts)),
        _ => {}
    }
}

/// Whether words name any of what stands in a plan: one of its numbers, in digits or as they are spoken, or one of its longer
/// words, in either script. A plan without a number is told by any words.
#[must_use]
pub fn tells_of(words: &str, plan: &Value) -> bool {
    let (mut names, mut numbers) = (Vec::new(), Vec::new());
    marks_of(plan, &mut names, &mut numbers);
    // Without a number in it a plan may well be told in words of the caller's language that stand nowhere in it.
    if !numbers.iter().any(|number| number.len() > 1) {
        return true;
    }
    let said = keys(words);
    let digits = numbers_said(words);
    names.iter().any(|name| said.contains(name)) || numbers.iter().any(|number| digits.contains(number))
}

/// Whether words name any word of a plan that is long enough to be known by.
#[must_use]
pub fn names_of(words: &str, plan: &Value) -> bool {
    let mut names = Vec::new();
    marks_of(plan, &mut names, &mut Vec::new());
    let said = keys(words);
    names.iter().any(|name| said.contains(name))
}

/// Written, and as they are spoken.
pub(super) fn numbers_said(words: &str) -> Vec<String> {
    runs(words).into_iter().chain(spoken(words).iter().flat_map(|value| runs(value))).collect()
}

/// What is told, in the whole and in each of its clauses: "1042, baarah log" is no 104212.
fn spoken(words: &str) -> Vec<Arc<str>> {
    let mut parts = vec![words.to_owned(), String::new()];
    for word in words.split_inclusive(char::is_whitespace) {
        parts.last_mut().into_iter().for_each(|part| part.push_str(word));
        if word.trim_end().ends_with([',', ';', '.', '?', '!', '।']) {
            parts.push(String::new());
        }
    }
    let told = parts.iter().flat_map(|part| understand(part, Surroundings::default()).entities);
    told.map(|entity| entity.value).collect()
}

/// Words with what they tell.
struct Heard<'a> {
    words: &'a str,
    now: Option<NaiveDateTime>,
    numbers: Vec<String>,
    /// All digits in a row, of the words and of what was spelled in them: a telephone number is said in groups.
    digits: Vec<String>,
    weekdays: Vec<u8>,
    /// "The fifteenth": a day of the month, and the month if it is told.
    ordinals: Vec<(u32, Option<u32>)>,
}

impl<'a> Heard<'a> {
    fn new(words: &'a str, now: Option<NaiveDateTime>) -> Self {
        let digits = |text: &str| -> String {
            text.chars().map(|c| fold::devanagari_digit(c).unwrap_or(c)).filter(char::is_ascii_digit).collect()
        };
        let rows = std::iter::once(digits(words)).chain(spoken(words).iter().map(|value| digits(value))).collect();
        let tokens = fold::tokens(words);
        let pieces = super::lex::pieces(words, &tokens);
        let weekdays = pieces.iter().filter_map(|piece| match piece.word() {
            Some(Word::Weekday(day)) => Some(day),
            _ => None,
        });
        let (weekdays, ordinals) = (weekdays.collect(), ordinals(&pieces));
        Self { words, now, numbers: numbers_said(words), digits: rows, weekdays, ordinals }
    }

    fn has(&self, one: &Particular) -> bool {
        match one {
            Particular::Number(number) => self.has_number(number),
            Particular::Day(day) => {
                let weekday = u8::try_from(day.weekday().num_days_from_monday()).unwrap_or_default();
                let month = |month: &Option<u32>| month.is_none_or(|month| month == day.month());
                self.weekdays.contains(&weekday)
                    || self.ordinals.iter().any(|(nth, told)| *nth == day.day() && month(told))
                    || self.words.contains(&day.format("%Y-%m-%d").to_string())
                    || self.times(day.and_time(NaiveTime::MIN)).iter().any(|(from, to, with_day)| {
                        let day = day.format("%Y-%m-%d").to_string();
                        *with_day && from.get(..10) == Some(&day) && to.get(..10) == Some(&day)
                    })
            }
            Particular::Clock(hour, minute) => self.has_clock(*hour, *minute),
        }
    }

    fn has_number(&self, number: &str) -> bool {
        let tail = &number[number.len().saturating_sub(TELEPHONE)..];
        self.numbers.iter().any(|said| said == number)
            || (number.len() >= GROUPED && self.digits.iter().any(|row| row.contains(tail)))
    }

    fn has_clock(&self, hour: u32, minute: u32) -> bool {
        let now = self.now.unwrap_or_else(|| NaiveDate::default().and_time(NaiveTime::MIN));
        daytime::tells(self.words, hour, minute, now)
    }

    /// Days and times of day that are told: both ends of each, and whether the day was told or is only the next one.
    fn times(&self, otherwise: NaiveDateTime) -> Vec<(String, String, bool)> {
        let now = Some(self.now.unwrap_or(otherwise));
        let entities = understand(self.words, Surroundings { now, ..Surroundings::default() }).entities;
        let times = entities.iter().filter(|entity| entity.kind == "datetime");
        times
            .map(|entity| match entity.json() {
                Value::Object(ends) => {
                    let end = |name: &str| ends[name].as_str().unwrap_or_default().to_owned();
                    (end("from"), end("to"), tells_a_day(&entity.text))
                }
                _ => (entity.value.to_string(), entity.value.to_string(), tells_a_day(&entity.text)),
            })
            .collect()
    }
}

/// Days of a month by their ordinals. "First" and "second" are so many other things that they need a month beside them.
fn ordinals(pieces: &[Lex]) -> Vec<(u32, Option<u32>)> {
    let month = |at: Option<usize>| match at.and_then(|at| pieces.get(at)).and_then(Lex::word) {
        Some(Word::Month(month)) => Some(u32::from(month)),
        _ => None,
    };
    let link = |at: Option<usize>| at.and_then(|at| pieces.get(at)).and_then(Lex::word) == Some(Word::Link);
    let day = |(at, piece): (usize, &Lex)| {
        let nth = match piece.what {
            What::Nth(nth) => nth,
            What::Word(Word::Ordinal(nth)) => nth.into(),
            _ => return None,
        };
        let (before, after) = (at.checked_sub(1), Some(at + 1));
        let beyond = if link(after) { Some(at + 2) } else { after };
        let ahead = if link(before) { at.checked_sub(2) } else { before };
        let month = month(beyond).or_else(|| month(ahead));
        (nth > 2 || month.is_some()).then_some((nth, month))
    };
    pieces.iter().enumerate().filter_map(day).collect()
}

fn tells_a_day(text: &str) -> bool {
    let tokens = fold::tokens(text);
    super::lex::pieces(text, &tokens).iter().any(|piece| match piece.what {
        What::Date(..) | What::Nth(_) => true,
        What::Word(word) => matches!(
            word,
            Word::Day(_)
                | Word::Either(_)
                | Word::Weekday(_)
                | Word::Month(_)
                | Word::Tarikh
                | Word::Unit(Unit::Day | Unit::Week)
        ),
        _ => false,
    })
}

/// From so many digits on a number may be said in groups; so many at its end are enough, without the country's.
const GROUPED: usize = 5;
const TELEPHONE: usize = 10;
/// Shortest word and longest list of what a plan is known by.
const NAME_MIN: usize = 4;
const MARKS_MAX: usize = 64;

fn marks_of(plan: &Value, names: &mut Vec<String>, numbers: &mut Vec<String>) {
    let mut text = |text: &str| {
        numbers.extend(runs(text).into_iter().take(MARKS_MAX.saturating_sub(numbers.len())));
        let long = fold::tokens(text)
            .into_iter()
            .filter(|token| token.raw.chars().filter(|c| c.is_alphabetic()).count() >= NAME_MIN);
        names.extend(long.map(|token| token.key).take(MARKS_MAX.saturating_sub(names.len())));
    };
    match plan {
        Value::String(words) => text(words),
        Value::Number(number) => text(&number.to_string()),
        Value::Array(list) => list.iter().for_each(|value| marks_of(value, names, numbers)),
        Value::Object(map) => map.values().for_each(|value| marks_of(value, names, numbers)),
        Value::Null | Value::Bool(_) => {}
    }
}

/// The numbers in a text, without the signs inside them.
pub(super) fn runs(text: &str) -> Vec<String> {
    let joined = text.replace(',', "");
    let plain: String = joined.chars().map(|c| fold::devanagari_digit(c).unwrap_or(c)).collect();
    plain
        .split(|c: char| !c.is_ascii_digit())
        .filter(|run| !run.is_empty())
        .map(|run| run.trim_start_matches('0').to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_back_names_something_of_the_plan_or_tells_nothing_of_it() {
        let order = serde_json::json!({ "cancel_order": { "order": "1042", "items": ["1 × Kurta"], "total": "₹1,299", "cannot_be_undone": true } });
        let visit =
            serde_json::json!({ "service": "Consultation", "with": "Asha", "at": "Saturday 28 November, 11:00" });
        for (words, plan, tells) in [
            ("Order 1042 cancel kar doon?", &order, true),
            ("Order ek hazaar bayalis cancel kar doon?", &order, true),
            ("ऑर्डर १०४२ रद्द कर दूँ?", &order, true),
            ("Ek kurta wapas, baarah sau ninyanve rupaye, theek hai?", &order, true),
            ("₹1299 ka order hata doon?", &order, true),
            ("Samay ki jaankari hamari website par hai", &order, false),
            ("Kya main aage badhoon?", &order, false),
            ("Order 1011 cancel kar doon?", &order, false),
            ("Kal gyarah baje Asha ke saath rakh doon?", &visit, true),
            ("कल आशा के साथ कंसल्टेशन, ग्यारह बजे?", &visit, true),
            ("Kal gyarah baje pakka kar doon?", &visit, true),
            ("Aur kuch?", &visit, false),
            ("Aur kuch?", &serde_json::json!({}), true),
            ("Aapki jaankari mita doon?", &serde_json::json!({ "forget": ["name", "preferred stylist"] }), true),
        ] {
            assert_eq!(tells_of(words, plan), tells, "{words}");
        }
    }

    fn saturday() -> Option<NaiveDateTime> {
        NaiveDate::from_ymd_opt(2026, 11, 27).and_then(|day| day.and_hms_opt(10, 0, 0))
    }

    #[test]
    fn a_read_back_names_all_that_a_caller_can_hear() {
        let order = serde_json::json!({ "cancel_order": { "order": "#1042", "items": ["1 × Kurta S23"], "total": "₹1,299",
            "refund": "₹1,299 goes back the way it was paid", "cannot_be_undone": true } });
        let visit = serde_json::json!({ "book_appointment": { "at": "2026-11-28T17:30", "day": "Saturday", "with": ["Asha"],
            "service": "Facial 2000", "minutes": 60, "name": "Meera" } });
        let later = serde_json::json!({ "at": "2026-12-15T11:15" });
        let moved = serde_json::json!({ "from": { "at": "2026-11-28T11:00" }, "to": { "at": "2026-11-30T17:00" } });
        let address = serde_json::json!({ "order": "#1042", "to": "7 FC Road, Flat 302, Pune, MH, 411004" });
        let own = serde_json::json!({ "order_id": "1042", "variant_id": "44556677", "phone": "+919000000001", "guests": 12,
            "gid": "gid://shopify/Order/99", "lead_key": 8841, "email": "m99@example.in", "count": 2 });
        for (words, plan, missing) in [
            ("Order 1042, 1299 rupaye, cancel kar doon?", &order, ""),
            ("Order ek hazaar bayalis, baarah sau ninyanve rupaye wapas, cancel kar doon?", &order, ""),
            ("ऑर्डर १०४२, बारह सौ निन्यानवे रुपये, रद्द कर दूँ?", &order, ""),
            ("Order one zero four two for ₹1,299, shall I cancel it?", &order, ""),
            ("Order 1042 cancel kar doon?", &order, "1299"),
            ("1299 ka order cancel kar doon?", &order, "1042"),
            ("Kurta cancel kar doon?", &order, "1042, 1299"),
            ("Order 1011, 1299 rupaye?", &order, "1042"),
            ("Kal shaam saadhe paanch baje Asha ke saath?", &visit, ""),
            ("Saturday 5:30 pm with Asha, shall I book it?", &visit, ""),
            ("शनिवार शाम साढ़े पाँच बजे, ठीक है?", &visit, ""),
            ("28 November ko 5:30 baje?", &visit, ""),
            ("2026-11-28T17:30, Saturday, Asha", &visit, ""),
            ("Saturday, pakka?", &visit, "17:30"),
            ("Saadhe paanch baje, pakka?", &visit, "Saturday 28 November"),
            ("Kal subah saadhe paanch baje Asha ke saath?", &visit, "17:30"),
            ("Tomorrow at 5:30 am with Asha?", &visit, "17:30"),
            ("The twenty eighth at five thirty with Asha?", &visit, ""),
            ("28th at 5:30 pm?", &visit, ""),
            ("The twenty eighth of December at 5:30 pm?", &visit, "Saturday 28 November"),
            ("The twenty seventh at 5:30 pm?", &visit, "Saturday 28 November"),
            ("December fifteenth at eleven fifteen, shall I?", &later, ""),
            ("The fifteenth at 11:15 am, shall I?", &later, ""),
            ("The fifth, at 11:15 am, shall I?", &later, "Tuesday 15 December"),
            ("Sunday saadhe paanch baje?", &visit, "Saturday 28 November"),
            ("Saturday paanch baje?", &visit, "17:30"),
            ("Saturday gyarah baje se Monday paanch baje kar doon?", &moved, ""),
            ("Kal 11 baje ki jagah Monday shaam 5 baje?", &moved, ""),
            ("Monday shaam 5 baje kar doon?", &moved, "Saturday 28 November, 11:00"),
            ("Order 1042, 7 FC Road, Flat 302, Pune 411 004, sahi hai?", &address, ""),
            ("Order 1042, FC Road flat teen sau do, PIN char ek ek zero zero char?", &address, ""),
            ("Order 1042 Pune bhej doon?", &address, "302, 411004"),
            ("Order 1042, baarah log, number 90000 00001?", &own, ""),
            ("1042 for 12 guests, nine zero zero zero zero zero zero zero zero one?", &own, ""),
            ("1042, 12 guests?", &own, "919000000001"),
        ] {
            assert_eq!(untold(words, plan, saturday()).join(", "), missing, "{words}");
        }
        assert_eq!(to_be_told(&serde_json::json!({ "forget": ["name"], "minutes": 60 })), Vec::<String>::new());
    }

    #[test]
    fn what_a_caller_chooses_points_at_one_of_several() {
        let plan = |order: &str| serde_json::json!({ "order": order, "total": "₹500" });
        for (words, order, points) in [
            ("1042", "1042", true),
            ("1042", "1043", false),
            ("ek hazaar tetalis", "1043", true),
            ("haan", "1042", false),
        ] {
            assert_eq!(points_at(words, &plan(order), None), points, "{words} {order}");
        }
    }
}
