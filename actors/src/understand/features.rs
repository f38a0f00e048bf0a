//! What of a turn the model looks at: its words and pairs of words by their keys, the words as written, and the letters
//! in rows of three to five by their sounds. All are hashed into one table.

use super::fold::Token;

/// Rows of the model's table.
pub const BUCKETS: usize = 1 << 17;
/// Letters in a row, fewest and most.
const LETTERS: std::ops::RangeInclusive<usize> = 3..=5;
/// Longest turn looked at, in words: a monologue's end says what its beginning did.
const WORDS_MAX: usize = 120;

/// Kinds of features: equal words of two kinds are two features.
#[derive(Clone, Copy)]
enum Kind {
    Key = 1,
    Raw,
    Pair,
    Skip,
    Ends,
    Length,
    Begin,
    Number,
    Letters,
}

/// Rows of a turn, with repeats: those of words and those of letters weigh as much as each other.
#[derive(Clone, Default, Debug)]
pub struct Features {
    /// Words and their pairs.
    pub words: Vec<u32>,
    /// Rows of letters.
    pub letters: Vec<u32>,
}

/// The features of a turn.
#[must_use]
pub fn features(tokens: &[Token]) -> Features {
    let tokens = &tokens[..tokens.len().min(WORDS_MAX)];
    let mut keys = Vec::with_capacity(tokens.len() + 2);
    keys.push(hash(Kind::Key, b"<"));
    keys.extend(tokens.iter().map(key));
    keys.push(hash(Kind::Key, b">"));
    let mut words = Vec::with_capacity(tokens.len() * 4 + 4);
    let inner = &keys[1..keys.len() - 1];
    words.extend(inner.iter().map(|&key| row(pair(Kind::Key, key, 0))));
    words.extend(tokens.iter().map(|token| row(hash(Kind::Raw, token.raw.as_bytes()))));
    words.extend(keys.windows(2).map(|two| row(pair(Kind::Pair, two[0], two[1]))));
    words.extend(keys.windows(3).map(|three| row(pair(Kind::Skip, three[0], three[2]))));
    if let (Some(&first), Some(&last)) = (inner.first(), inner.last()) {
        words.push(row(pair(Kind::Ends, first, last)));
        words.push(row(pair(Kind::Length, inner.len().min(12) as u64, 0)));
        words.extend(inner.get(1).map(|&second| row(pair(Kind::Begin, first, second))));
    }
    Features { words, letters: letters(tokens) }
}

/// Numbers of one length are one word.
fn key(token: &Token) -> u64 {
    if !token.key.is_empty() && token.key.bytes().all(|b| b.is_ascii_digit()) {
        return hash(Kind::Number, &[token.key.len().min(12) as u8]);
    }
    hash(Kind::Key, token.key.as_bytes())
}

fn letters(tokens: &[Token]) -> Vec<u32> {
    let mut line = Vec::with_capacity(tokens.iter().map(|token| token.sound.len() + 1).sum::<usize>() + 1);
    line.push(b' ');
    for token in tokens {
        line.extend(token.sound.bytes().map(|b| if b.is_ascii_digit() { b'#' } else { b }));
        line.push(b' ');
    }
    let mut rows = Vec::with_capacity(line.len() * 3);
    for length in LETTERS {
        rows.extend(line.windows(length).map(|window| row(hash(Kind::Letters, window) ^ length as u64)));
    }
    rows
}

fn row(hash: u64) -> u32 {
    (hash % BUCKETS as u64) as u32
}

fn hash(kind: Kind, bytes: &[u8]) -> u64 {
    // FNV-1a, and a finaliser so that the low bits are as good as the high ones.
    let seed = 0xcbf2_9ce4_8422_2325 ^ (kind as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mix(bytes.iter().fold(seed, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
}

fn pair(kind: Kind, one: u64, other: u64) -> u64 {
    mix(one.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ other.rotate_left(31)
        ^ (kind as u64).wrapping_mul(0xd1b5_4a32_d192_ed03))
}

fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
