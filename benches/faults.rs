//! Campaigns: faults against the release server while calls are up, and the questions to the record afterwards.
//!
//! `cargo bench --bench faults -- database [away|slow|full]` or `… idle [tcp|head|kept|again|stream]`, `[--seconds N] [--calls N]`. Each campaign starts servers as
//! child processes (`CALY_BIN`, else `target/release/caly`), places calls with the crate's own simulated carrier,
//! does its harm and prints a table of figures beside their goals. Exit code 1 if a goal was missed or something could
//! not be run.
//!
//! This file only chooses: a campaign is a module of its own, and what campaigns share lives in `faults/world.rs`
//! and `faults/report.rs`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the table is the result")]

#[path = "faults/acting.rs"]
mod acting;
#[path = "faults/crashes.rs"]
mod crashes;
#[path = "faults/database.rs"]
mod database;
#[path = "../tests/support/ears.rs"]
mod ears;
#[path = "faults/endings.rs"]
mod endings;
#[path = "faults/ears.rs"]
mod hearing;
#[path = "faults/idle.rs"]
mod idle;
#[path = "../tests/support/integrity.rs"]
mod integrity;
#[path = "faults/leak.rs"]
mod leak;
#[path = "faults/life.rs"]
mod life;
#[path = "../tests/support/proxy.rs"]
mod proxy;
#[path = "faults/report.rs"]
mod report;
#[path = "faults/stream.rs"]
mod stream;
#[path = "faults/vendor.rs"]
mod vendor;
#[path = "faults/world.rs"]
mod world;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use world::Table;

/// How long and how much; a campaign takes its own default for what is not given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Size {
    /// `--seconds N`: how long the harm lasts.
    pub seconds: Option<u64>,
    /// `--calls N`: calls that are up at once.
    pub calls: Option<usize>,
    /// `--rounds N`: how often it is done.
    pub rounds: Option<u64>,
}

impl Size {
    /// The time given, or the campaign's own.
    #[must_use]
    pub fn time(&self, otherwise: u64) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(otherwise))
    }

    /// The number of calls given, or the campaign's own.
    #[must_use]
    pub fn calls(&self, otherwise: usize) -> usize {
        self.calls.unwrap_or(otherwise)
    }
}

/// What there is to run, for the usage text.
const CAMPAIGNS: &str = "kill, drain, endings, actions [own|shop], crashes [engine|media|realtime|intent|action|call], ears [engine|line|late], leak, database [away|slow|full], idle [tcp|head|kept|again|stream]";

/// One arm for each campaign.
async fn campaign(words: &[&str], size: Size) -> Result<Vec<Table>> {
    match words {
        ["kill"] => life::kill(size).await,
        ["drain"] => life::drain(size).await,
        ["endings"] => endings::run(size).await,
        ["actions", which @ ..] => acting::run(which, size).await,
        ["crashes", which @ ..] => crashes::run(which, size).await,
        ["ears", which @ ..] => hearing::run(which, size).await,
        ["leak"] => leak::run(size).await,
        ["database", which @ ..] => database::run(which, size).await,
        ["idle", which @ ..] => idle::run(which, size).await,
        _ => bail!("which campaign? {CAMPAIGNS}; with --seconds N, --calls N, --rounds N"),
    }
}

fn main() -> ExitCode {
    // Cargo adds this one; without it a test run only wants to know that the harness was built.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.iter().any(|argument| argument == "--list") || arguments.is_empty() {
        eprintln!("faults: run it with: cargo bench --bench faults -- CAMPAIGN; campaigns: {CAMPAIGNS}");
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(tables) => {
            let met = tables.iter().all(Table::met);
            tables.iter().for_each(|table| println!("{table}"));
            if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("faults: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<Vec<Table>> {
    let (mut words, mut size) = (Vec::new(), Size::default());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut number = || rest.next().and_then(|text| text.parse().ok()).filter(|number: &u64| *number > 0);
        match argument.as_str() {
            "--seconds" => size.seconds = Some(number().context("--seconds: a number of seconds")?),
            "--calls" => size.calls = Some(number().context("--calls: a number of calls")? as usize),
            "--rounds" => size.rounds = Some(number().context("--rounds: a number of rounds")?),
            word if word.starts_with("--") => bail!("{word} is not known: --seconds, --calls and --rounds are"),
            word => words.push(word),
        }
    }
    world::prepare();
    actix_rt::System::new().block_on(campaign(&words, size))
}
