//! `caly understand`: what turns of text mean, one JSON line per turn. For scripts that measure it and for the curious.
//!
//! Reads text lines, or JSON lines `{"text","context","waiting","now","products","intents"}`: `context` is what the agent said last
//! (a text, or a list of texts or of `{"text"}`, the last of which counts), `waiting` names what waits for a yes
//! (`cancel_order`), `now` is the caller's time (RFC 3339, or local without a zone), `products` names and `intents` examples by
//! the name of an intent of one's own.
//! Writes `{"intent","confidence","yes","entities":[{"type","text","value","confidence"}],"us"}`, and `heard` where a turn was
//! written in letters that Caly does not read: the text in Devanagari that was understood instead. Needs no configuration and
//! no network.

use std::io::{self, BufRead, Write};
use std::time::Instant;

use caly_actors::domain::Understanding;
use caly_actors::understand::own::{OwnIntents, Products};
use caly_actors::understand::script::heard;
use caly_actors::understand::{Surroundings, prepare, understand};
use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, Utc};
use serde_json::{Value, json};

/// Longest line read; the rest of a longer one is passed over.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Answers every line of `input` with one line on `output`, until the input ends. An empty line is a turn without words.
///
/// # Errors
/// The input cannot be read, or nobody reads the output any more.
pub fn run(mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    prepare();
    let mut line = Vec::new();
    while read_line(&mut input, &mut line)? {
        let line = String::from_utf8_lossy(&line);
        let turn = Turn::read(line.trim());
        let began = Instant::now();
        let around = Surroundings {
            asked: &turn.asked,
            waiting: &turn.waiting,
            now: turn.now,
            products: Some(&turn.products),
            own: Some(&turn.intents),
        };
        let heard = heard(&turn.text);
        let understanding = understand(&heard.text, around);
        let micros = began.elapsed().as_nanos() / 1000;
        let mut answer = answer(&understanding, u64::try_from(micros).unwrap_or(u64::MAX));
        if heard.raw.is_some() {
            answer["heard"] = json!(heard.text);
        }
        writeln!(output, "{answer}")?;
        // One answer per question, at once: the other end may wait for it before it asks again.
        output.flush()?;
    }
    Ok(())
}

/// The next line without its end, cut at the bound; `false` when there is none.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    if io::Read::take(&mut *input, LINE_BYTES_MAX).read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(true);
    }
    loop {
        let passed = input.fill_buf()?;
        if passed.is_empty() {
            return Ok(true);
        }
        let end = passed.iter().position(|&b| b == b'\n');
        let length = end.map_or(passed.len(), |at| at + 1);
        input.consume(length);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// A turn and what is known beside it.
struct Turn {
    text: String,
    asked: String,
    waiting: String,
    now: Option<NaiveDateTime>,
    products: Products,
    intents: OwnIntents,
}

impl Turn {
    /// A JSON object with a `text`, or the line itself.
    fn read(line: &str) -> Self {
        let object =
            line.starts_with('{').then(|| serde_json::from_str::<Value>(line).ok()).flatten().unwrap_or_default();
        let text = object["text"].as_str().unwrap_or(line).to_owned();
        let products = object["products"].as_array().into_iter().flatten();
        let intents = object["intents"].as_object().into_iter().flatten().map(|(name, examples)| {
            let examples = examples.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            (name.clone(), examples.collect::<Vec<_>>())
        });
        let intents: Vec<(String, Vec<String>)> = intents.collect();
        let now = object["now"].as_str().and_then(local_time);
        Self {
            text,
            asked: spoken(&object["context"]).unwrap_or_default().to_owned(),
            waiting: object["waiting"].as_str().unwrap_or_default().to_owned(),
            now: Some(now.unwrap_or_else(|| Utc::now().with_timezone(&INDIA).naive_local())),
            products: Products::new(products.filter_map(Value::as_str)),
            intents: OwnIntents::new(intents.iter().map(|(name, examples)| (name.as_str(), examples.as_slice()))),
        }
    }
}

/// Where times without a zone, and without a call, are taken to be.
const INDIA: FixedOffset = match FixedOffset::east_opt(19_800) {
    Some(offset) => offset,
    None => unreachable!(),
};

/// The last text of a context.
fn spoken(context: &Value) -> Option<&str> {
    match context {
        Value::String(text) => Some(text),
        Value::Array(turns) => turns.iter().rev().find_map(spoken),
        Value::Object(turn) => ["text", "asked", "question", "content"].iter().find_map(|key| turn.get(*key)?.as_str()),
        _ => None,
    }
}

/// The wall clock of a time with an offset, of one without, or of a date; UTC is told as in India.
fn local_time(text: &str) -> Option<NaiveDateTime> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        let utc = text.ends_with(['Z', 'z']);
        return Some(if utc { time.with_timezone(&INDIA).naive_local() } else { time.naive_local() });
    }
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))
}

fn answer(understanding: &Understanding, micros: u64) -> Value {
    // Two digits are all that a confidence is worth.
    let rounded = |confidence: f32| (f64::from(confidence) * 100.0).round() / 100.0;
    let entities = understanding.entities.iter().map(|entity| {
        json!({
            "type": entity.kind,
            "text": &*entity.text,
            "value": entity.json(),
            "confidence": rounded(entity.confidence),
        })
    });
    let mut answer = json!({
        "intent": understanding.name(),
        "confidence": rounded(understanding.confidence),
        "yes": understanding.yes.as_str(),
        "entities": entities.collect::<Vec<_>>(),
        "us": micros,
    });
    // Only what there is: most turns ask nothing of the call itself.
    if let Some(wish) = understanding.wish {
        answer["wish"] = json!(wish.as_str());
    }
    if understanding.abusive {
        answer["abusive"] = json!(true);
    }
    answer
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn answers(input: &[u8]) -> Vec<Value> {
        let mut output = Vec::new();
        run(input, &mut output).unwrap();
        output.split(|&b| b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect()
    }

    #[test]
    fn text_and_json_lines_are_answered_alike() {
        let answers = answers(
            "where is my order 1042\n{\"text\":\"where is my order 1042\",\"context\":[],\"now\":\"2026-08-25T12:00:00Z\"}\n"
                .as_bytes(),
        );
        assert_eq!(answers.len(), 2);
        for answer in answers {
            assert_eq!(answer["intent"], "order_status");
            assert_eq!(answer["entities"][0]["type"], "order_id");
            assert_eq!(answer["entities"][0]["value"], "1042");
            assert!(answer["us"].is_u64() && answer["confidence"].as_f64().unwrap() > 0.5);
        }
    }

    #[test]
    fn what_is_told_beside_the_text_counts() {
        let lines = [
            json!({"text": "kar do", "context": "Shall I cancel the order?"}),
            json!({"text": "kal aaunga", "now": "2026-11-18T10:00:00+05:30"}),
            json!({"text": "whey gold hai", "products": ["Whey Gold"]}),
            json!({"text": "mere points kitne hain", "intents": {"points": ["how many points", "points kitne hain mere"]}}),
        ];
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let answers = answers(lines.as_bytes());
        assert_eq!(answers[0]["intent"], "affirm");
        assert_eq!(answers[1]["entities"][0]["value"], "2026-11-19");
        assert_eq!(
            answers[2]["entities"][0],
            json!({"type": "product", "text": "whey gold", "value": "Whey Gold", "confidence": 0.9})
        );
        assert_eq!(answers[3]["intent"], "points");
    }

    #[test]
    fn whether_it_is_a_yes_to_the_context_is_told() {
        let asked = "Kal shaam paanch baje, theek hai?";
        let lines = [
            (json!({"text": "haan paanch baje theek hai", "context": asked}), "agreed"),
            (json!({"text": "haan book kar do", "context": asked, "waiting": "book_appointment"}), "agreed"),
            (json!({"text": "haan book kar do", "context": asked, "waiting": "cancel_appointment"}), "neither"),
            (json!({"text": "cancel kar dijiye", "context": "Order 1042 cancel kar doon?"}), "ordered"),
            (json!({"text": "haan dono kar do", "context": "Dono order cancel kar doon?"}), "agreed_to_all"),
            (json!({"text": "haan chhe baje", "context": asked}), "neither"),
            (json!({"text": "haan rehne do", "context": asked}), "refused"),
        ];
        let input: String = lines.iter().map(|(line, _)| format!("{line}\n")).collect();
        for (answer, (line, yes)) in answers(input.as_bytes()).iter().zip(lines) {
            assert_eq!(answer["yes"], yes, "{line}");
        }
    }

    #[test]
    fn a_turn_in_letters_of_another_script_is_told_as_it_was_heard() {
        let answers = answers("میرا آرڈر ۱۰۴۲ کہاں ہے؟\nઓર્ડર કેન્સલ કર દો\nwhere is my order\n감사합니다\n".as_bytes());
        assert_eq!(
            (&answers[0]["heard"], &answers[0]["intent"]),
            (&json!("मेरा ऑर्डर 1042 कहाँ है?"), &json!("order_status"))
        );
        assert_eq!(answers[0]["entities"][0]["value"], "1042");
        assert_eq!(answers[1]["intent"], "cancel_order");
        assert!(answers[2].get("heard").is_none());
        assert_eq!((answers[3].get("heard"), &answers[3]["intent"]), (None, &json!("oos")));
    }

    #[test]
    fn what_a_turn_asks_of_the_call_is_told_where_it_asks_something() {
        let answers = answers("connect me to a person\nyou bastard\nwhere is my order\n".as_bytes());
        assert_eq!((&answers[0]["wish"], &answers[0]["abusive"]), (&json!("person"), &Value::Null));
        assert_eq!((&answers[1]["wish"], &answers[1]["abusive"]), (&Value::Null, &json!(true)));
        assert!(answers[2].get("wish").is_none() && answers[2].get("abusive").is_none());
    }

    #[test]
    fn every_line_gets_exactly_one_answer_whatever_it_holds() {
        let long = "x".repeat(200_000);
        let input = [b"\n{broken\n{\"text\":5}\n\xff\xfe\n".as_slice(), long.as_bytes(), b"\nbye"].concat();
        let answers = answers(&input);
        assert_eq!(answers.len(), 6);
        assert_eq!(answers[5]["intent"], "goodbye");
        assert_eq!(answers[0]["intent"], "oos");
    }
}
