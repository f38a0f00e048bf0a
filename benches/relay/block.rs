//! A 20 ms block of audio that carries its own number, readable after A-law, µ-law or resampling.
//!
//! 160 samples at 8 kHz: a start pulse, ten bits of number and three of check, ten samples each at ±[`LEVEL`], then
//! twenty samples of silence. The reader finds the start by the silence before it, so it needs no alignment, and reads
//! each bit at its middle; the last one 24 samples before the block ends, so that the 2 ms which two resamplers hold
//! back do not push it into the next block. Knows nothing of sockets or time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Numbers in use: 20.48 s of blocks until one comes again.
pub const NUMBERS: u16 = 1024;
/// Samples of a block at 8 kHz.
const SAMPLES: usize = 160;
/// Samples of one bit.
const BIT: usize = 10;
const NUMBER_BITS: u16 = 10;
const CHECK_BITS: u16 = 3;
const BITS: u16 = NUMBER_BITS + CHECK_BITS;
/// A value that A-law has exactly.
const LEVEL: i16 = 8064;
/// Below this it is quiet: what filters leave of the silence stays under it.
const QUIET: u16 = 3000;
/// Quiet samples that must come before a start; inside a block the signal never rests that long.
const QUIET_BEFORE: u32 = 10;

/// The three check bits of a number; any single wrong bit shows.
fn check(number: u16) -> u16 {
    (number ^ (number >> 3) ^ (number >> 6) ^ (number >> 9)) & 7
}

/// PCM16 little-endian of one block.
pub fn encode(number: u16) -> Vec<u8> {
    let word = (number % NUMBERS) << CHECK_BITS | check(number % NUMBERS);
    let mut samples = vec![LEVEL; BIT];
    for bit in (0..BITS).rev() {
        let level = if word >> bit & 1 == 1 { LEVEL } else { -LEVEL };
        samples.resize(samples.len() + BIT, level);
    }
    samples.resize(SAMPLES, 0);
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// The base64 of every block, by number.
pub fn payloads() -> Vec<String> {
    (0..NUMBERS).map(|number| STANDARD.encode(encode(number))).collect()
}

enum State {
    /// Waits for silence and then a pulse; holds the quiet samples in a row.
    Hunting(u32),
    /// Inside a block: samples since its pulse began, and the bits so far.
    Reading { at: usize, word: u16 },
}

/// Finds the numbers in a stream of samples, however it is cut.
pub struct Reader(State);

impl Reader {
    pub fn new() -> Self {
        Self(State::Hunting(0))
    }

    /// Takes PCM16 little-endian and calls `found` with each number as its last bit passes.
    pub fn feed(&mut self, pcm: &[u8], mut found: impl FnMut(u16)) {
        for pair in pcm.chunks_exact(2) {
            if let Some(number) = self.sample(i16::from_le_bytes([pair[0], pair[1]])) {
                found(number);
            }
        }
    }

    fn sample(&mut self, sample: i16) -> Option<u16> {
        let quiet = sample.unsigned_abs() < QUIET;
        match &mut self.0 {
            State::Hunting(run) if quiet => *run = run.saturating_add(1),
            State::Hunting(run) if sample > 0 && *run >= QUIET_BEFORE => self.0 = State::Reading { at: 0, word: 0 },
            State::Hunting(run) => *run = 0,
            State::Reading { at, word } => {
                *at += 1;
                if *at < BIT || *at % BIT != BIT / 2 {
                    return None;
                }
                *word = *word << 1 | u16::from(sample > 0);
                let (last, word) = (*at == BIT * usize::from(BITS) + BIT / 2, *word);
                if last || quiet {
                    self.0 = State::Hunting(0);
                }
                let number = word >> CHECK_BITS;
                return (last && !quiet && word & 7 == check(number)).then_some(number);
            }
        }
        None
    }
}

/// Proves the coding before anything is measured with it.
///
/// # Errors
/// What does not hold.
pub fn self_check() -> Result<(), String> {
    let every: Vec<u16> = (0..NUMBERS).collect();
    let plain: Vec<i16> = every.iter().flat_map(|&number| samples(&encode(number))).collect();
    expect("as sent", &read(&[vec![0; 80], plain.clone()].concat(), 320), &every)?;
    expect("cut anywhere", &read(&[vec![0; 33], plain.clone()].concat(), 74), &every)?;
    // What eight bits of a logarithmic code may do to a value, at most.
    let coarse = plain.iter().map(|&sample| sample + if sample % 3 == 0 { sample / 32 + 8 } else { -8 });
    expect("coarse", &read(&[vec![8; 40], coarse.collect()].concat(), 320), &every)?;
    // A low-pass and a shift, as two resamplers leave them.
    let smooth = plain.windows(5).map(|w| (w.iter().map(|&s| i32::from(s)).sum::<i32>() / 5) as i16);
    expect("smoothed and late", &read(&[vec![0; 57], smooth.collect()].concat(), 320), &every)?;
    // The last bit must pass within the block although it comes 2 ms late.
    let one = [vec![0; 40 + 16], samples(&encode(77))].concat();
    expect("2 ms late", &read(&one[..40 + SAMPLES], 320), &[77])?;
    let holed = [&[0; 80], &plain[..SAMPLES * 5], &[0; SAMPLES], &plain[SAMPLES * 6..SAMPLES * 9]].concat();
    expect("a block missing", &read(&holed, 320), &[0, 1, 2, 3, 4, 6, 7, 8])?;
    let hum: Vec<i16> = (0..4000).map(|at| if at / 20 % 2 == 0 { LEVEL } else { -LEVEL }).collect();
    expect("nothing", &read(&[vec![0; 4000], hum].concat(), 320), &[])
}

fn samples(pcm: &[u8]) -> Vec<i16> {
    pcm.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

fn read(samples: &[i16], piece_bytes: usize) -> Vec<u16> {
    let pcm: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let (mut reader, mut found) = (Reader::new(), Vec::new());
    for piece in pcm.chunks(piece_bytes) {
        reader.feed(piece, |number| found.push(number));
    }
    found
}

fn expect(what: &str, found: &[u16], expected: &[u16]) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let at = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
    Err(format!("block coding, {what}: {} of {} numbers, wrong at {at}", found.len(), expected.len()))
}
