//! When the caller's frames were spoken, as far as their arrival tells. A frame is never heard before it was spoken, but
//! whatever held it up (the network, a busy machine) makes it late: so a late one follows the one before it without a gap,
//! and the gap is believed when it is too long for that, or when all frames stay late.

use std::time::Duration;

use crate::domain::CallTime;

/// Frames are held up no longer than this.
const HELD_UP: Duration = Duration::from_millis(200);
/// What has been late for so long is late for good: sound is missing, or the two clocks differ.
const FOR_GOOD: Duration = Duration::from_millis(500);

/// The frames of one stream, one after the other.
#[derive(Clone, Copy, Default, Debug)]
pub struct Arrivals {
    /// When the next is spoken if nothing is missing.
    next: Option<CallTime>,
    /// Since when frames are late, and by how much at least.
    late: Option<(CallTime, Duration)>,
}

impl Arrivals {
    /// When the first sample of a frame of this length was spoken that arrived now.
    pub fn spoken(&mut self, arrived: CallTime, length: Duration) -> CallTime {
        let at_latest = arrived.saturating_sub(length);
        let late_by = self.next.and_then(|next| at_latest.checked_sub(next)).filter(|late| !late.is_zero());
        let began = match (self.next, late_by) {
            (Some(next), Some(late)) if late <= HELD_UP => next + self.for_good(at_latest, late),
            _ => {
                self.late = None;
                at_latest
            }
        };
        self.next = Some(began + length);
        began
    }

    /// How much of this lateness will stay, once that is known.
    fn for_good(&mut self, now: CallTime, late: Duration) -> Duration {
        let (since, least) = self.late.map_or((now, late), |(since, least)| (since, least.min(late)));
        let known = now.saturating_sub(since) >= FOR_GOOD;
        self.late = (!known).then_some((since, least));
        if known { least } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;
    const FRAME: u64 = 20;

    /// A name, arrivals, and when those frames are said to have been spoken.
    type Row = (&'static str, &'static [u64], &'static [u64]);

    #[test]
    fn a_frame_that_was_held_up_is_placed_where_it_was_spoken() {
        let table: [Row; 6] = [
            ("in time", &[100, 120, 140], &[80, 100, 120]),
            ("one late", &[100, 127, 140], &[80, 100, 120]),
            ("four held up and let go", &[100, 200, 201, 202, 203, 220], &[80, 100, 120, 140, 160, 180]),
            ("the first was late", &[160, 160, 161, 180], &[140, 140, 141, 160]),
            ("nothing came for long", &[100, 420, 440], &[80, 400, 420]),
            ("held up as long as can be", &[100, 320, 320], &[80, 100, 120]),
        ];
        for (name, arrivals, expected) in table {
            let mut line = Arrivals::default();
            let spoken: Vec<u64> =
                arrivals.iter().map(|at| line.spoken(MS(*at), MS(FRAME)).as_millis() as u64).collect();
            assert_eq!(spoken, expected, "{name}");
        }
    }

    #[test]
    fn what_stays_late_is_believed_by_what_all_frames_are_late() {
        let mut line = Arrivals::default();
        line.spoken(MS(20), MS(FRAME));
        // 80 ms are missing, and every other frame is 30 ms later than that.
        let late = |n: u64| n * FRAME + 100 + 30 * (n % 2);
        let off =
            |line: &mut Arrivals, n| late(n).abs_diff(line.spoken(MS(late(n)), MS(FRAME)).as_millis() as u64 + FRAME);
        assert!((1..25).all(|n| off(&mut line, n) >= 80));
        (25..30).for_each(|n| assert!(off(&mut line, n) < 200));
        assert!((30..60).all(|n| off(&mut line, n) == 30 * (n % 2)));
    }

    #[test]
    fn two_clocks_that_differ_are_followed() {
        let mut line = Arrivals::default();
        for slow in [20_006_u64, 19_994] {
            let spoken = (0..100_000).map(|n| {
                let arrived = Duration::from_micros(10_000_000 + n * slow);
                arrived.abs_diff(line.spoken(arrived, MS(FRAME)) + MS(FRAME))
            });
            assert!(spoken.max().is_some_and(|most| most < MS(1)));
            line = Arrivals::default();
        }
    }
}
