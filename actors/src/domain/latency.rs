//! How long a caller waited for an answer, and for whom.

use super::CallTime;

/// The five points of an answer, on the call's clock. Gaps between two of them are `None` where one is not known, or where
/// they are out of order: then they belong to different turns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Latency {
    /// The end of the caller's speech, as heard on the line.
    pub spoken: CallTime,
    /// The engine took what was said for a turn.
    pub committed: Option<CallTime>,
    /// The engine's first audio came.
    pub made: CallTime,
    /// The first frame was handed to the carrier.
    pub sent: CallTime,
    /// The first frame was heard: by the carrier's mark, or as estimated where marks never come.
    pub heard: Option<CallTime>,
}

impl Latency {
    /// What the steps of an answer are called, in the order of [`Latency::gaps`].
    pub const STEPS: [&str; 5] = ["commit", "first_audio", "sent", "heard", "total"];

    /// End of speech → commit → first audio → first frame sent → first frame heard, and the whole of it.
    #[must_use]
    pub fn gaps(&self) -> [Option<CallTime>; 5] {
        let between = |from: Option<CallTime>, to: Option<CallTime>| to?.checked_sub(from?);
        let (spoken, made, sent) = (Some(self.spoken), Some(self.made), Some(self.sent));
        [
            between(spoken, self.committed),
            between(self.committed, made),
            between(made, sent),
            between(sent, self.heard),
            between(spoken, self.heard),
        ]
    }

    /// End of speech → first frame sent.
    #[must_use]
    pub fn to_sent(&self) -> CallTime {
        self.sent.saturating_sub(self.spoken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_between_neighbours_and_unknown_where_a_point_is_missing_or_out_of_order() {
        let at = |ms: u64| CallTime::from_millis(ms);
        let all =
            Latency { spoken: at(100), committed: Some(at(600)), made: at(900), sent: at(910), heard: Some(at(1000)) };
        let ms = |latency: Latency| latency.gaps().map(|gap| gap.map(|gap| gap.as_millis()));
        let table = [
            (all, [Some(500), Some(300), Some(10), Some(90), Some(900)]),
            (Latency { committed: None, ..all }, [None, None, Some(10), Some(90), Some(900)]),
            (Latency { heard: None, ..all }, [Some(500), Some(300), Some(10), None, None]),
            (Latency { committed: Some(at(950)), ..all }, [Some(850), None, Some(10), Some(90), Some(900)]),
        ];
        for (latency, expected) in table {
            assert_eq!(ms(latency), expected, "{latency:?}");
            assert_eq!(latency.to_sent(), at(810));
        }
    }
}
