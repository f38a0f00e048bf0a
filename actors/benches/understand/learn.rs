//! Learning: multinomial logistic regression by stochastic gradient with a rate per row (Adagrad), over lines varied as
//! telephones and typing vary them. One thread and a seed: the same lines make the same file.

use std::io::IsTerminal as _;

use caly_actors::understand::features::{BUCKETS, Features, features};
use caly_actors::understand::fold::tokens;
use caly_actors::understand::model::{Head, INTENTS, Model, softmax};

use super::data::Line;

const PASSES: usize = 12;
/// The model is the mean of the weights after so many last passes.
const AVERAGED: usize = 5;
const RATE: f32 = 0.25;
const DECAY: f32 = 3e-5;
/// Of what is right, so much is given to the others: nothing is quite sure.
const SMOOTHING: f32 = 0.02;
/// Features left out at random, so that no single one is relied on.
const DROPPED: f32 = 0.15;
/// Norm of all words, and of all letters, of a turn.
const NORM: f32 = 2.0;
/// Found by `make eval`: with it a probability of 0.8 is right four times in five.
const TEMPERATURE: f32 = 0.8;
/// Weights beyond this many standard deviations are cut, so that a step of the stored ones is fine enough.
const CUT: f32 = 12.0;

const BEFORE: [&str; 40] = [
    "hello",
    "hi",
    "haan",
    "haan ji",
    "ji",
    "sir",
    "madam",
    "bhaiya",
    "actually",
    "arre",
    "um",
    "uh",
    "please",
    "plz",
    "so",
    "ok",
    "acha",
    "suniye",
    "dekhiye",
    "sorry",
    "umm",
    "yaar",
    "hey",
    "bhai",
    "mam",
    "ma'am",
    "i said",
    "matlab",
    "well",
    "see",
    "हाँ",
    "जी",
    "अच्छा",
    "सर",
    "भैया",
    "सुनिए",
    "देखिए",
    "हेलो",
    "अरे",
    "प्लीज",
];
const BEHIND: [&str; 32] = [
    "please",
    "plz",
    "sir",
    "madam",
    "ji",
    "bhai",
    "na",
    "yaar",
    "thanks",
    "thank you",
    "ok",
    "hai",
    "right now",
    "jaldi",
    "asap",
    "urgent",
    "bhaiya",
    "batao",
    "bataiye",
    "mam",
    "kindly",
    "na please",
    "today",
    "aaj",
    "जी",
    "सर",
    "प्लीज",
    "भैया",
    "ना",
    "बताइए",
    "थैंक यू",
    "जल्दी",
];
const RESPELLED: [(&str, &str); 55] = [
    ("nahi", "nhi"),
    ("nahi", "nahin"),
    ("nahi", "nai"),
    ("nahi", "ni"),
    ("hai", "h"),
    ("hai", "he"),
    ("hai", "hain"),
    ("kya", "kia"),
    ("mujhe", "muje"),
    ("mujhe", "mje"),
    ("mujhe", "mujhko"),
    ("kar", "kr"),
    ("karo", "kro"),
    ("karna", "krna"),
    ("chahiye", "chahie"),
    ("chahiye", "chaiye"),
    ("please", "plz"),
    ("please", "pls"),
    ("please", "pleese"),
    ("you", "u"),
    ("your", "ur"),
    ("are", "r"),
    ("order", "ordar"),
    ("order", "oder"),
    ("cancel", "cancle"),
    ("cancel", "cancil"),
    ("cancel", "kensal"),
    ("delivery", "dilivery"),
    ("delivery", "delivry"),
    ("address", "adress"),
    ("appointment", "apointment"),
    ("appointment", "appoinment"),
    ("payment", "pement"),
    ("refund", "rifund"),
    ("product", "prodct"),
    ("product", "prduct"),
    ("price", "prise"),
    ("what", "wat"),
    ("want", "wnt"),
    ("my", "mi"),
    ("mera", "mra"),
    ("mera", "meraa"),
    ("kahan", "kaha"),
    ("kaha", "kahaan"),
    ("kab", "kub"),
    ("ka", "kaa"),
    ("ki", "kee"),
    ("hoon", "hu"),
    ("raha", "rha"),
    ("rahi", "rhi"),
    ("tomorrow", "tmrw"),
    ("because", "coz"),
    ("with", "wth"),
    ("number", "nmbr"),
    ("call", "cal"),
];

/// xorshift: the same numbers everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn share(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u64 << 24) as f32
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// A line as somebody else might have said, heard or typed it.
fn varied(text: &str, chance: &mut Chance) -> String {
    let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if chance.share() < 0.3 {
        for word in &mut words {
            let spellings: Vec<&str> =
                RESPELLED.iter().filter(|(known, _)| known == word).map(|(_, other)| *other).collect();
            if !spellings.is_empty() && chance.share() < 0.5 {
                *word = chance.one(&spellings).to_owned();
            }
        }
    }
    if chance.share() < 0.25 && words.len() >= 4 {
        words.remove(chance.below(words.len()));
    }
    if chance.share() < 0.2 && !words.is_empty() {
        let at = chance.below(words.len());
        words[at] = mistyped(&words[at], chance);
    }
    if chance.share() < 0.3 {
        number(&mut words, chance);
    }
    if chance.share() < 0.2 {
        words.insert(0, chance.one(&BEFORE).to_owned());
    }
    if chance.share() < 0.15 {
        words.push(chance.one(&BEHIND).to_owned());
    }
    if chance.share() < 0.04 && words.len() >= 3 {
        let at = chance.below(words.len() - 1);
        let next = words.remove(at + 1);
        words[at].push_str(&next);
    }
    words.join(" ")
}

/// Tells which order, in figures or digit by digit, behind the first word that can bear it.
fn number(words: &mut Vec<String>, chance: &mut Chance) {
    const BEARERS: [&str; 14] = [
        "order",
        "orders",
        "ordar",
        "parcel",
        "number",
        "shipment",
        "package",
        "delivery",
        "ऑर्डर",
        "आर्डर",
        "पार्सल",
        "नंबर",
        "डिलीवरी",
        "appointment",
    ];
    const SPOKEN: [[&str; 10]; 3] = [
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
        ["zero", "ek", "do", "teen", "char", "paanch", "chhe", "saat", "aath", "nau"],
        ["शून्य", "एक", "दो", "तीन", "चार", "पाँच", "छह", "सात", "आठ", "नौ"],
    ];
    let Some(at) = words.iter().position(|word| BEARERS.contains(&word.as_str())) else { return };
    let count = 3 + chance.below(4);
    let tongue = chance.below(6);
    let digits = (0..count).map(|_| chance.below(10)).collect::<Vec<_>>();
    let said: Vec<String> = match SPOKEN.get(tongue) {
        Some(names) => digits.iter().map(|&digit| names[digit].to_owned()).collect(),
        None => vec![digits.iter().map(usize::to_string).collect()],
    };
    words.splice(at + 1..at + 1, said);
}

fn mistyped(word: &str, chance: &mut Chance) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    if letters.len() >= 4 && letters[0].is_ascii() {
        let at = 1 + chance.below(letters.len() - 2);
        match chance.below(3) {
            0 => drop(letters.remove(at)),
            1 => letters.swap(at, at + 1),
            _ => letters.insert(at, letters[at]),
        }
    }
    letters.into_iter().collect()
}

struct Table {
    weights: Vec<f32>,
    bias: [f32; INTENTS],
    /// Squared gradients so far.
    seen: Vec<f32>,
    seen_bias: [f32; INTENTS],
    /// Of the last passes: what one of them happens to lean to is leaned back by another.
    mean: Vec<f32>,
    mean_bias: [f32; INTENTS],
}

/// Trains on lines and gives the file.
pub fn model(lines: &[&Line], data: u64, what: &str) -> Vec<u8> {
    let mut table = Table {
        weights: vec![0.0; BUCKETS * INTENTS],
        bias: [0.0; INTENTS],
        seen: vec![1e-4; BUCKETS],
        seen_bias: [1.0; INTENTS],
        mean: vec![0.0; BUCKETS * INTENTS],
        mean_bias: [0.0; INTENTS],
    };
    let mut chance = Chance(0x0123_4567_89ab_cdef);
    let mut order: Vec<usize> = (0..lines.len()).collect();
    for pass in 0..PASSES {
        for at in (1..order.len()).rev() {
            order.swap(at, chance.below(at + 1));
        }
        let rate = RATE * (1.0 - pass as f32 / PASSES as f32).max(0.1);
        for &at in &order {
            let line = lines[at];
            let text = if pass == 0 { line.text.clone() } else { varied(&line.text, &mut chance) };
            let mut found = features(&tokens(&text));
            found.words.retain(|_| chance.share() >= DROPPED);
            found.letters.retain(|_| chance.share() >= DROPPED);
            table.learn(&found, line.intent as usize, rate);
        }
        if pass + AVERAGED >= PASSES {
            table.average(pass + AVERAGED - PASSES);
        }
        if std::io::stderr().is_terminal() {
            eprint!("\r{what}: {} of {PASSES} passes", pass + 1);
        }
    }
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    (table.weights, table.bias) = (std::mem::take(&mut table.mean), table.mean_bias);
    table.stored(data)
}

impl Table {
    /// Takes the present weights into the mean of those of so many passes before.
    fn average(&mut self, before: usize) {
        let share = 1.0 / (before + 1) as f32;
        self.mean.iter_mut().zip(&self.weights).for_each(|(mean, weight)| *mean += (weight - *mean) * share);
        self.mean_bias.iter_mut().zip(&self.bias).for_each(|(mean, bias)| *mean += (bias - *mean) * share);
    }

    fn learn(&mut self, found: &Features, right: usize, rate: f32) {
        let share = |count: usize| NORM / (count.max(1) as f32).sqrt();
        let groups = [(&found.words, share(found.words.len())), (&found.letters, share(found.letters.len()))];
        let mut error = self.bias;
        for (rows, value) in &groups {
            for &row in *rows {
                let weights = &self.weights[row as usize * INTENTS..][..INTENTS];
                error.iter_mut().zip(weights).for_each(|(score, weight)| *score += value * weight);
            }
        }
        softmax(&mut error);
        for (intent, error) in error.iter_mut().enumerate() {
            *error -= if intent == right { 1.0 - SMOOTHING } else { SMOOTHING / (INTENTS - 1) as f32 };
        }
        for ((bias, seen), error) in self.bias.iter_mut().zip(&mut self.seen_bias).zip(&error) {
            *seen += error * error;
            *bias -= rate * error / seen.sqrt();
        }
        let squared: f32 = error.iter().map(|error| error * error).sum();
        for (rows, value) in &groups {
            for &row in *rows {
                let seen = &mut self.seen[row as usize];
                *seen += value * value * squared;
                let step = rate / seen.sqrt();
                let weights = &mut self.weights[row as usize * INTENTS..][..INTENTS];
                for (weight, error) in weights.iter_mut().zip(&error) {
                    *weight -= step * (value * error + DECAY * *weight);
                }
            }
        }
    }

    fn stored(&self, data: u64) -> Vec<u8> {
        let used: Vec<f32> = self.weights.iter().copied().filter(|weight| *weight != 0.0).collect();
        let deviation = (used.iter().map(|weight| weight * weight).sum::<f32>() / used.len().max(1) as f32).sqrt();
        let most = used.iter().fold(f32::MIN_POSITIVE, |most, weight| most.max(weight.abs()));
        let step = most.min(deviation * CUT) / 127.0;
        let weights: Vec<i8> =
            self.weights.iter().map(|weight| (weight / step).round().clamp(-127.0, 127.0) as i8).collect();
        let head = Head { data, words: NORM, letters: NORM, temperature: TEMPERATURE, step, bias: self.bias };
        Model::file(&head, &weights)
    }
}
