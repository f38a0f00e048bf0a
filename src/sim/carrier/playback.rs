//! What the simulated carrier plays to the caller: a queue of messages on one exact timeline. No clock: time is given.
//!
//! A message that has begun plays to its end; `clear` removes the ones behind it; a mark is due when all before it has played.

use std::collections::VecDeque;
use std::time::Duration;

enum Queued {
    Audio { arrived: Duration, samples: Vec<i16>, ragged: bool },
    Mark(String),
}

struct Playing {
    begun: Duration,
    samples: Vec<i16>,
    position: usize,
    ragged: bool,
}

/// A stretch of sound and when it began.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sound {
    pub(crate) at: Duration,
    pub(crate) samples: Vec<i16>,
}

/// What happened since the last look.
#[derive(Debug, Default)]
pub(crate) struct Played {
    pub(crate) sounds: Vec<Sound>,
    pub(crate) marks: Vec<String>,
    /// Silences in the middle of speech, because the next message came late.
    pub(crate) gaps: Vec<(Duration, Duration)>,
}

/// The queue.
pub(crate) struct Playback {
    rate: u32,
    queue: VecDeque<Queued>,
    playing: Option<Playing>,
    head: Duration,
    queued_samples: usize,
}

impl Playback {
    pub(crate) fn new(rate: u32) -> Self {
        Self { rate, queue: VecDeque::new(), playing: None, head: Duration::ZERO, queued_samples: 0 }
    }

    fn length(&self, samples: usize) -> Duration {
        Duration::from_micros(samples as u64 * 1_000_000 / u64::from(self.rate))
    }

    /// A message arrived. `ragged`: its size is no multiple of 320 bytes, which costs a pause of 20 ms after it.
    pub(crate) fn push(&mut self, arrived: Duration, samples: Vec<i16>, ragged: bool) {
        self.queued_samples += samples.len();
        self.queue.push_back(Queued::Audio { arrived, samples, ragged });
    }

    pub(crate) fn mark(&mut self, name: String) {
        self.queue.push_back(Queued::Mark(name));
    }

    /// Forgets what has not begun; gives back the marks among it.
    pub(crate) fn clear(&mut self) -> Vec<String> {
        self.queued_samples = self.playing.as_ref().map_or(0, |p| p.samples.len() - p.position);
        self.queue
            .drain(..)
            .filter_map(|queued| match queued {
                Queued::Mark(name) => Some(name),
                Queued::Audio { .. } => None,
            })
            .collect()
    }

    /// Nothing plays and nothing waits.
    pub(crate) fn idle(&self) -> bool {
        self.playing.is_none() && self.queue.is_empty()
    }

    /// How far the bot is ahead of the caller's ear.
    pub(crate) fn ahead(&self) -> Duration {
        self.length(self.queued_samples)
    }

    /// Plays up to `now`.
    pub(crate) fn advance(&mut self, now: Duration) -> Played {
        let mut played = Played::default();
        loop {
            if let Some(mut playing) = self.playing.take() {
                let due = (now.saturating_sub(playing.begun).as_micros() * u128::from(self.rate) / 1_000_000) as usize;
                let end = due.min(playing.samples.len());
                if end > playing.position {
                    let at = playing.begun + self.length(playing.position);
                    played.sounds.push(Sound { at, samples: playing.samples[playing.position..end].to_vec() });
                    self.queued_samples = self.queued_samples.saturating_sub(end - playing.position);
                    playing.position = end;
                }
                if end < playing.samples.len() {
                    self.playing = Some(playing);
                    break;
                }
                let pause = if playing.ragged { Duration::from_millis(20) } else { Duration::ZERO };
                self.head = playing.begun + self.length(playing.samples.len()) + pause;
            }
            match self.queue.pop_front() {
                None => break,
                Some(Queued::Mark(name)) if self.head <= now => played.marks.push(name),
                Some(queued @ Queued::Mark(_)) => {
                    self.queue.push_front(queued);
                    break;
                }
                Some(Queued::Audio { arrived, samples, ragged }) => {
                    let late = arrived.saturating_sub(self.head);
                    if late > Duration::ZERO && self.head > Duration::ZERO {
                        played.gaps.push((self.head, late));
                    }
                    self.playing = Some(Playing { begun: arrived.max(self.head), samples, position: 0, ragged });
                }
            }
        }
        played
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_mark_is_due_when_everything_before_it_was_heard() {
        let mut playback = Playback::new(8000);
        playback.push(MS(10), vec![1; 800], false);
        playback.mark("a".into());
        assert!(playback.advance(MS(100)).marks.is_empty());
        assert_eq!(playback.advance(MS(111)).marks, ["a"]);
    }

    #[test]
    fn clear_lets_the_message_that_plays_finish_and_drops_the_rest() {
        let mut playback = Playback::new(8000);
        for _ in 0..3 {
            playback.push(MS(0), vec![1; 800], false);
        }
        playback.mark("late".into());
        playback.advance(MS(50));
        assert_eq!(playback.clear(), ["late"]);
        let rest: usize = playback.advance(MS(1000)).sounds.iter().map(|sound| sound.samples.len()).sum();
        assert_eq!((rest, playback.idle()), (400, true));
    }

    #[test]
    fn messages_follow_each_other_without_a_seam_and_a_ragged_one_costs_20_ms() {
        let mut playback = Playback::new(8000);
        playback.push(MS(0), vec![1; 160], false);
        playback.push(MS(3), vec![2; 150], true);
        playback.push(MS(4), vec![3; 160], false);
        let played = playback.advance(MS(500));
        let starts: Vec<u64> = played.sounds.iter().map(|sound| sound.at.as_micros() as u64).collect();
        assert_eq!(starts, [0, 20_000, 58_750]);
        assert!(played.gaps.is_empty());
    }

    #[test]
    fn a_message_that_comes_late_leaves_a_gap() {
        let mut playback = Playback::new(8000);
        playback.push(MS(0), vec![1; 160], false);
        playback.advance(MS(40));
        playback.push(MS(55), vec![1; 160], false);
        assert_eq!(playback.advance(MS(100)).gaps, [(MS(20), MS(35))]);
    }
}
