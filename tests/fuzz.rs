//! Every corpus of `tests/fuzz`, and a few thousand seeded mutations of each, through the functions that the fuzzer runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a failing input is shown")]

#[path = "fuzz/targets.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest mutated input.
const LONGEST: usize = 8 * 1024;

struct Mutator {
    state: u64,
    corpus: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Mutator {
    fn new(name: &str) -> Self {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
        let mut files: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let corpus: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
        assert!(corpus.len() >= 3, "{name} has only {} inputs", corpus.len());
        let mut words: Vec<Vec<u8>> = corpus
            .iter()
            .flat_map(|text| text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_'))
            .filter(|word| (2..40).contains(&word.len()))
            .map(<[u8]>::to_vec)
            .collect();
        words.sort();
        words.dedup();
        let odd: [&[u8]; 12] = [
            b"null",
            b"-1",
            b"1e999",
            b"18446744073709551616",
            b"{",
            b"}",
            b"[[[[",
            b"\"",
            b"\\u0000",
            b"\xff",
            b"\n",
            b"%",
        ];
        words.extend(odd.map(<[u8]>::to_vec));
        Self { state: 0x5eed, corpus, words }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % bound.max(1) as u64) as usize
    }

    fn mutated(&mut self) -> Vec<u8> {
        let first = self.below(self.corpus.len());
        let mut text = self.corpus[first].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(text.len() + 1);
            let end = (at + self.below(40)).min(text.len());
            match self.below(7) {
                0 if at < text.len() => text[at] ^= 1 << self.below(8),
                1 => text.insert(at, self.below(256) as u8),
                2 => drop(text.drain(at..end)),
                3 => {
                    let piece = text[at..end].to_vec();
                    let times = 1 + self.below(20);
                    text.splice(at..at, piece.repeat(times));
                }
                4 => {
                    let other = self.below(self.corpus.len());
                    let from = self.below(self.corpus[other].len() + 1);
                    text.truncate(at);
                    text.extend_from_slice(&self.corpus[other][from..]);
                }
                _ => {
                    let word = self.below(self.words.len());
                    text.splice(at..end, self.words[word].clone());
                }
            }
        }
        text.truncate(LONGEST);
        text
    }
}

fn survives(name: &str, mutations: usize) {
    let (_, target) = targets::TARGETS.into_iter().find(|(known, _)| *known == name).unwrap();
    let mut mutator = Mutator::new(name);
    let try_one = |input: &[u8]| {
        let outcome = catch_unwind(AssertUnwindSafe(|| target(input)));
        assert!(outcome.is_ok(), "{name} breaks on {:?}", String::from_utf8_lossy(input));
    };
    mutator.corpus.iter().for_each(|input| try_one(input));
    let (begun, mut count) = (Instant::now(), 0);
    while count < mutations || begun.elapsed() < longer() {
        try_one(&mutator.mutated());
        count += 1;
    }
    eprintln!("{name}: {count} mutations in {:?}", begun.elapsed());
}

/// `CALY_FUZZ_SECONDS` goes on for as long, where no fuzzer can be built.
fn longer() -> Duration {
    let seconds = std::env::var("CALY_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

#[test]
fn media_messages_of_any_form_are_survived() {
    survives("media", 4_000);
}

#[test]
fn webhooks_of_any_form_are_survived() {
    survives("webhooks", 4_000);
}

#[test]
fn engine_events_of_any_form_are_survived() {
    survives("engine", 4_000);
}

#[test]
fn configurations_of_any_form_are_survived() {
    survives("configuration", 300);
}

#[test]
fn frames_of_any_form_are_survived() {
    survives("frames", 4_000);
}
