//! Since when a caller waits for an answer: the end of their speech as it was on the line.
//!
//! The engine tells an end only after a window of silence, and names a place in its own count of the audio that may hold the
//! window or not. So its word says which sound is meant, and the line's loudness where that ended.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::domain::{CallTime, TurnDetection};

/// Ends of sound kept: more than there are pauses between an end of speech and its answer.
const QUIETS_MAX: usize = 16;
/// The line may fall quiet this long before the engine believes it: what was said last was soft.
const EARLIER: CallTime = CallTime::from_millis(300);

/// What the engine tells of the end of the caller's speech.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Stopped {
    /// The place it names, as a time.
    pub at: CallTime,
    /// The silence that was waited for before it, if the engine waits for a certain one.
    pub window: Option<CallTime>,
}

/// What the caller said last, until it is answered.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Asked {
    pub(super) item: Arc<str>,
    pub(super) began: CallTime,
    pub(super) stopped: Stopped,
    /// When the engine took it for a turn.
    pub(super) committed: Option<CallTime>,
}

/// When the line fell quiet, latest last.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Quiets(VecDeque<CallTime>);

impl Quiets {
    pub(super) fn note(&mut self, since: CallTime) {
        self.0.push_back(since);
        if self.0.len() > QUIETS_MAX {
            self.0.pop_front();
        }
    }

    pub(super) fn last(&self) -> Option<CallTime> {
        self.0.back().copied()
    }

    /// Where speech ended that the engine heard begin and stop at these times. Without a quiet that fits (the line is
    /// noisy, or the voice too soft) the engine's word is all there is.
    pub(super) fn end_of_speech(&self, began: CallTime, stopped: Stopped) -> CallTime {
        let told = stopped.window.map(|window| stopped.at.saturating_sub(window));
        let earliest = told.unwrap_or(began).saturating_sub(EARLIER);
        let fits = |quiet: &&CallTime| (earliest..=stopped.at).contains(*quiet);
        self.0.iter().rev().find(fits).copied().unwrap_or_else(|| told.unwrap_or(stopped.at))
    }
}

/// The silence an engine waits for.
pub(super) fn silence_window(rule: TurnDetection) -> Option<CallTime> {
    match rule {
        TurnDetection::Silence { silence_duration_ms, .. } => Some(CallTime::from_millis(silence_duration_ms.into())),
        TurnDetection::Semantic { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name, quiets, when the engine heard speech begin and stop, the window it waited for, and the end.
    type Row = (&'static str, &'static [u64], u64, u64, Option<u64>, u64);

    #[test]
    fn the_end_of_speech_is_where_the_line_fell_quiet_and_else_what_the_engine_says() {
        let at = |ms: u64| CallTime::from_millis(ms);
        let silence = Some(500);
        let table: [Row; 9] = [
            ("at the line's end", &[1990], 1000, 2510, silence, 1990),
            ("not at a pause before", &[1200, 1600, 1990], 1000, 2510, silence, 1990),
            ("not at what was said since", &[1990, 2700], 1000, 2510, silence, 1990),
            ("an engine that leaves its window out", &[1990], 1000, 2010, silence, 1990),
            ("a line that was never quiet", &[], 1000, 2510, silence, 2010),
            ("… or only long before", &[600], 1000, 2510, silence, 2010),
            ("an engine that judges by meaning", &[1990], 1000, 2900, None, 1990),
            ("… on a noisy line", &[600], 1000, 2900, None, 2900),
            ("a short sound, heard to begin late", &[950], 1000, 1460, silence, 950),
        ];
        for (name, told, began, stop, window, expected) in table {
            let mut quiets = Quiets::default();
            told.iter().for_each(|quiet| quiets.note(at(*quiet)));
            let stopped = Stopped { at: at(stop), window: window.map(at) };
            assert_eq!(quiets.end_of_speech(at(began), stopped), at(expected), "{name}");
        }
    }

    #[test]
    fn quiets_are_bounded() {
        let mut quiets = Quiets::default();
        (0..1000).for_each(|n| quiets.note(CallTime::from_millis(n)));
        assert_eq!(quiets.0.len(), QUIETS_MAX);
    }
}
