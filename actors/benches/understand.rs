//! Trains and measures the model of intents: `make train` writes `actors/src/understand/model.bin`, `make eval` tells how
//! well wordings are understood that training never saw.
//!
//! The data are `actors/data/understand/LABEL.txt`: families of lines (`# name`), each line a script (`en`, `hl` for
//! Hinglish, `hi` for Devanagari), a tab and a text. A family is one way to put a thing; whole families are held out.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "prints what it measures")]

#[path = "understand/data.rs"]
mod data;
#[path = "understand/learn.rs"]
mod learn;
#[path = "understand/report.rs"]
mod report;

use std::process::ExitCode;

use caly_actors::domain::IntentKind;
use caly_actors::understand::model::{Model, embedded};
use caly_actors::understand::{Surroundings, prepare, understand};

use data::{Line, read};
use report::{Outcome, report};

/// Of so many parts of the families one is held out at a time.
const PARTS: u64 = 6;
/// Parts that `eval` holds out in turn.
const ROUNDS: u64 = 3;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let done = match arguments.next().as_deref() {
        Some("train") => train(),
        Some("eval") => eval(),
        // One line per text: `intent TAB accepted,accepted TAB language TAB text`, measured with the embedded model.
        Some("measure") => {
            arguments.next().ok_or_else(|| "measure: a file is missing".to_owned()).and_then(|file| measure(&file))
        }
        // `cargo bench` and `cargo test --benches` without a word: nothing to do.
        None => Ok(()),
        Some(other) => Err(format!("train, eval or measure FILE, not {other}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("understand: {error}");
            ExitCode::FAILURE
        }
    }
}

fn train() -> Result<(), String> {
    let lines = read()?;
    let file = learn::model(&lines.iter().collect::<Vec<_>>(), data::hash(&lines), "training");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/understand/model.bin");
    std::fs::write(path, &file).map_err(|error| format!("{path}: {error}"))?;
    println!("{} lines, {} bytes written to {path}", lines.len(), file.len());
    Ok(())
}

fn eval() -> Result<(), String> {
    let lines = read()?;
    let mut outcomes = Vec::new();
    for round in 0..ROUNDS {
        let (held, known): (Vec<&Line>, Vec<&Line>) = lines.iter().partition(|line| line.family % PARTS == round);
        let file = learn::model(&known, 0, &format!("round {} of {ROUNDS}", round + 1));
        let model = Model::parse(&file).ok_or("the file just made cannot be read")?;
        outcomes.extend(held.iter().map(|line| Outcome::of(Some(&model), line, Vec::new())));
    }
    report("families that training never saw", &outcomes);
    prepare();
    speed(&lines);
    Ok(())
}

fn measure(file: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let outcomes: Vec<Outcome> = text
        .lines()
        .filter_map(|line| {
            let mut columns = line.splitn(4, '\t');
            let (intent, accepted, script, text) = (columns.next()?, columns.next()?, columns.next()?, columns.next()?);
            let kind = |word: &str| IntentKind::ALL.into_iter().find(|kind| kind.as_str() == word);
            let line = Line { intent: kind(intent)?, script: script.to_owned(), text: text.to_lowercase(), family: 0 };
            Some(Outcome::of(embedded(), &line, accepted.split(',').filter_map(kind).collect()))
        })
        .collect();
    report(file, &outcomes);
    if std::env::var_os("ERRORS").is_some() {
        for outcome in outcomes.iter().filter(|outcome| !outcome.is_right()) {
            println!("{outcome}");
        }
    }
    Ok(())
}

fn speed(lines: &[Line]) {
    let now = chrono::NaiveDate::from_ymd_opt(2026, 11, 18).and_then(|day| day.and_hms_opt(10, 0, 0));
    for (what, now) in [("intent and entities but times", None), ("with all entities", now)] {
        let mut took: Vec<f64> = lines
            .iter()
            .step_by(3)
            .map(|line| {
                let began = std::time::Instant::now();
                std::hint::black_box(understand(&line.text, Surroundings { now, ..Surroundings::default() }));
                began.elapsed().as_secs_f64() * 1e6
            })
            .collect();
        took.sort_by(f64::total_cmp);
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
        println!("{what}: p50 {:.1} µs, p99 {:.1} µs a turn, {} turns", at(0.5), at(0.99), took.len());
    }
}
