//! The trained model: a table of small weights, one row a feature and one column an intent, embedded in the program.
//!
//! Trained by `make train` from `actors/data/understand`; see `actors/benches/understand.rs`. The file begins with
//! [`MAGIC`], a hash of the training data, the numbers of [`Head`] and a bias for each intent; then come the rows.

use std::sync::LazyLock;

use super::features::{BUCKETS, Features};
use crate::domain::IntentKind;

/// How many intents there are.
pub const INTENTS: usize = IntentKind::ALL.len();
/// How the file begins.
pub const MAGIC: &[u8; 8] = b"CALYINT1";
const HEAD_BYTES: usize = 8 + 8 + 4 * 4 + 4 * INTENTS;

/// What stands before the rows.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Head {
    /// Of the lines it was trained on.
    pub data: u64,
    /// How much all the words of a turn weigh.
    pub words: f32,
    /// How much all its letters weigh.
    pub letters: f32,
    /// What scores are divided by, so that a probability is what it says.
    pub temperature: f32,
    /// What one step of a weight is worth.
    pub step: f32,
    /// Of each intent, in the order of [`IntentKind::ALL`].
    pub bias: [f32; INTENTS],
}

/// Hash of all training lines so far and one more, for [`Head::data`].
#[must_use]
pub fn line_hash(so_far: u64, intent: IntentKind, script: &str, text: &str) -> u64 {
    let line = [&so_far.to_le_bytes(), intent.as_str().as_bytes(), script.as_bytes(), text.as_bytes()].concat();
    // FNV-1a.
    line.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// See the module's text.
pub struct Model<'a> {
    head: Head,
    rows: &'a [u8],
}

static EMBEDDED: LazyLock<Option<Model<'static>>> = LazyLock::new(|| Model::parse(include_bytes!("model.bin")));

/// The model of this build; `None` if its file does not fit the code, which a test would have told.
#[must_use]
pub fn embedded() -> Option<&'static Model<'static>> {
    EMBEDDED.as_ref()
}

impl<'a> Model<'a> {
    /// Reads a file; `None` if it is not one for this code.
    #[must_use]
    pub fn parse(file: &'a [u8]) -> Option<Self> {
        let (head, rows) = file.split_at_checked(HEAD_BYTES)?;
        if head.get(..8)? != MAGIC || rows.len() != BUCKETS * INTENTS {
            return None;
        }
        let data = u64::from_le_bytes(head.get(8..16)?.try_into().ok()?);
        let mut numbers =
            head[16..].chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
        let mut next = || numbers.next();
        let (words, letters, temperature, step) = (next()?, next()?, next()?, next()?);
        let mut bias = [0.0; INTENTS];
        for bias in &mut bias {
            *bias = next()?;
        }
        let head = Head { data, words, letters, temperature, step, bias };
        Some(Self { head, rows })
    }

    /// The file of a table of weights, each from -127 to 127 steps.
    #[must_use]
    pub fn file(head: &Head, weights: &[i8]) -> Vec<u8> {
        let mut file = Vec::with_capacity(HEAD_BYTES + weights.len());
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(&head.data.to_le_bytes());
        let numbers = [head.words, head.letters, head.temperature, head.step];
        for number in numbers.iter().chain(&head.bias) {
            file.extend_from_slice(&number.to_le_bytes());
        }
        file.extend(weights.iter().map(|weight| weight.to_le_bytes()[0]));
        file
    }

    /// What stands before the rows.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// How likely each intent is, in the order of [`IntentKind::ALL`]; they add up to one.
    #[must_use]
    pub fn probabilities(&self, features: &Features) -> [f32; INTENTS] {
        let head = &self.head;
        let share = |weight: f32, count: usize| weight * head.step / (count.max(1) as f32).sqrt();
        let (words, letters) = (self.sum(&features.words), self.sum(&features.letters));
        let (by_word, by_letter) =
            (share(head.words, features.words.len()), share(head.letters, features.letters.len()));
        let mut scores = [0.0; INTENTS];
        for (at, score) in scores.iter_mut().enumerate() {
            *score = (head.bias[at] + words[at] as f32 * by_word + letters[at] as f32 * by_letter) / head.temperature;
        }
        softmax(&mut scores);
        scores
    }

    fn sum(&self, rows: &[u32]) -> [i32; INTENTS] {
        let mut sum = [0; INTENTS];
        for &row in rows {
            let begin = row as usize * INTENTS;
            let Some(weights) = self.rows.get(begin..begin + INTENTS) else { continue };
            for (sum, &weight) in sum.iter_mut().zip(weights) {
                *sum += i32::from(weight.cast_signed());
            }
        }
        sum
    }
}

/// Scores to probabilities.
pub fn softmax(scores: &mut [f32]) {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - most).exp();
        total += *score;
    }
    for score in scores {
        *score /= total;
    }
}
