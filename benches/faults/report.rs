//! Webhooks at a steady rate, and the table of figures.
#![allow(dead_code, reason = "no campaign needs all of it")]

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use awc::http::Method;
use tokio::task::JoinSet;

use crate::world::{client, request};

/// Times of requests that were answered, and how many were not or wrongly.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    sorted: Vec<Duration>,
    /// No answer, or a status that was not asked for.
    pub failed: usize,
    /// What the first of those was.
    pub first_failure: Option<String>,
}

impl Latencies {
    /// `fraction` from 0 to 1; zero if nothing was answered.
    #[must_use]
    pub fn quantile(&self, fraction: f64) -> Duration {
        let at = (self.sorted.len() as f64 * fraction).ceil() as usize;
        self.sorted.get(at.saturating_sub(1)).copied().unwrap_or_default()
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.sorted.len() + self.failed
    }
}

/// Sends requests at a steady rate, whether the former are answered or not, so that a slow answer delays no other.
/// `url` makes the address of each; `wanted` lists statuses that are good.
pub async fn at_rate(per_second: u32, lasting: Duration, wanted: &[u16], url: impl Fn(u64) -> String) -> Latencies {
    let wanted: Rc<[u16]> = wanted.into();
    let (mut sent, mut number) = (JoinSet::new(), 0);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    let begun = Instant::now();
    while begun.elapsed() < lasting {
        ticks.tick().await;
        let (url, wanted) = (url(number), Rc::clone(&wanted));
        number += 1;
        sent.spawn_local(async move {
            let begun = Instant::now();
            match request(&client(), Method::GET, &url, None).await {
                Ok(answer) if wanted.contains(&answer.status) => Ok(begun.elapsed()),
                Ok(answer) => Err(format!("{} {}", answer.status, answer.text())),
                Err(error) => Err(format!("{error:#}")),
            }
        });
    }
    let mut latencies = Latencies::default();
    while let Some(answered) = sent.join_next().await {
        match answered {
            Ok(Ok(took)) => latencies.sorted.push(took),
            Ok(Err(failure)) => {
                latencies.failed += 1;
                latencies.first_failure.get_or_insert(failure);
            }
            Err(error) => {
                latencies.failed += 1;
                latencies.first_failure.get_or_insert(error.to_string());
            }
        }
    }
    latencies.sorted.sort();
    latencies
}

/// Figures of one campaign beside their goals.
#[derive(Debug)]
pub struct Table {
    title: String,
    rows: Vec<Figure>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Figure {
    name: String,
    measured: String,
    goal: String,
    met: bool,
}

impl Table {
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), rows: Vec::new(), notes: Vec::new() }
    }

    /// A figure with a goal.
    pub fn judge(&mut self, name: &str, measured: impl fmt::Display, goal: &str, met: bool) {
        self.rows.push(Figure { name: name.to_owned(), measured: measured.to_string(), goal: goal.to_owned(), met });
    }

    /// A count that must be zero.
    pub fn none(&mut self, name: &str, count: usize) {
        self.judge(name, count, "0", count == 0);
    }

    /// A time with a limit.
    pub fn within(&mut self, name: &str, took: Duration, limit: Duration) {
        self.judge(name, shown(took), &format!("<= {}", shown(limit)), took <= limit);
    }

    /// A figure without a goal.
    pub fn tell(&mut self, name: &str, measured: impl fmt::Display) {
        self.judge(name, measured, "", true);
    }

    /// A line below the table, for whoever looks for the reason.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Every goal was met.
    #[must_use]
    pub fn met(&self) -> bool {
        self.rows.iter().all(|row| row.met)
    }
}

fn shown(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{:.1} ms", time.as_secs_f64() * 1000.0)
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}", self.title)?;
        for row in &self.rows {
            let verdict = match (row.goal.is_empty(), row.met) {
                (true, _) => "",
                (false, true) => "met",
                (false, false) => "MISSED",
            };
            writeln!(f, "  {:<44} {:>12}  {:<14} {verdict}", row.name, row.measured, row.goal)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "  {note}"))
    }
}
