//! Where a numbered message stands among those before it: next, after a gap, a repetition, late, or nonsense.
//!
//! Plain data: one number in, one verdict out. Knows nothing of what is numbered.

use super::wire::Number;

/// How far back a repetition is recognised.
const WINDOW: u64 = 64;
/// A jump beyond this is a new numbering and no gap (20 s of 20 ms frames).
const GAP_MAX: u64 = 1000;

/// What a number says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The first number, or the one after the last.
    Next,
    /// This many are missing before it.
    Gap(u64),
    /// Seen before.
    Duplicate,
    /// Older than the last but not seen.
    Late,
    /// No number, or one that fits nowhere: counting starts anew from it.
    Unknown,
}

/// Follows one numbering.
#[derive(Clone, Copy, Default, Debug)]
pub struct SequenceTracker {
    last: Option<u64>,
    /// Bit `n`: `last - n` was seen.
    seen: u64,
}

impl SequenceTracker {
    /// Places a number and remembers it.
    pub fn place(&mut self, number: Number) -> Place {
        let Number::Value(value) = number else { return Place::Unknown };
        let Some(last) = self.last else {
            self.restart(value);
            return Place::Next;
        };
        if value > last {
            return self.forward(value, value - last);
        }
        let back = last - value;
        if back >= WINDOW {
            self.restart(value);
            return Place::Unknown;
        }
        let bit = 1_u64 << back;
        if self.seen & bit != 0 {
            return Place::Duplicate;
        }
        self.seen |= bit;
        Place::Late
    }

    fn forward(&mut self, value: u64, step: u64) -> Place {
        if step > GAP_MAX {
            self.restart(value);
            return Place::Unknown;
        }
        self.seen = if step < WINDOW { self.seen << step | 1 } else { 1 };
        self.last = Some(value);
        if step == 1 { Place::Next } else { Place::Gap(step - 1) }
    }

    fn restart(&mut self, value: u64) {
        self.last = Some(value);
        self.seen = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(numbers: &[u64]) -> Vec<Place> {
        let mut tracker = SequenceTracker::default();
        numbers.iter().map(|&number| tracker.place(Number::Value(number))).collect()
    }

    #[test]
    fn each_number_is_placed_among_those_before() {
        use Place::{Duplicate, Gap, Late, Next, Unknown};
        let table: [(&[u64], &[Place]); 8] = [
            (&[2, 3, 4], &[Next, Next, Next]),
            (&[1, 4, 5], &[Next, Gap(2), Next]),
            (&[1, 2, 2, 3, 1], &[Next, Next, Duplicate, Next, Duplicate]),
            (&[1, 4, 3, 3, 5], &[Next, Gap(2), Late, Duplicate, Next]),
            (&[5, 4, 3], &[Next, Late, Late]),
            (&[500, 1, 2], &[Next, Unknown, Next]),
            (&[1, u64::MAX, 0], &[Next, Unknown, Unknown]),
            (&[u64::MAX, u64::MAX], &[Next, Duplicate]),
        ];
        for (numbers, expected) in table {
            assert_eq!(places(numbers), expected, "{numbers:?}");
        }
    }

    #[test]
    fn nonsense_leaves_the_counting_alone() {
        let mut tracker = SequenceTracker::default();
        tracker.place(Number::Value(7));
        assert_eq!(tracker.place(Number::Absurd), Place::Unknown);
        assert_eq!(tracker.place(Number::Absent), Place::Unknown);
        assert_eq!(tracker.place(Number::Value(8)), Place::Next);
    }

    #[test]
    fn a_long_gap_within_reason_is_still_a_gap() {
        assert_eq!(places(&[1, 102, 103]), [Place::Next, Place::Gap(100), Place::Next]);
        assert_eq!(places(&[1, 2000]), [Place::Next, Place::Unknown]);
    }

    proptest::proptest! {
        #[test]
        fn any_numbers_are_placed_without_panic(numbers: Vec<u64>) {
            let _ = places(&numbers);
        }
    }
}
