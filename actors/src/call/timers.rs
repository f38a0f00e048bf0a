//! The deadlines of a call, as data: they survive a restart of the actor that waits for them.

use crate::domain::CallTime;

/// What can become due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// No stream since admission.
    Answer,
    /// The hard cap on the whole call.
    MaxDuration,
    /// No media frames.
    IdleMedia,
    /// Nobody spoke: first asked, then ended.
    IdleSpeech,
    /// The engine owes an answer.
    EngineProgress,
    /// An answer that failed is to be asked for again.
    AskAgain,
    /// The session must have noticed what it was given to hear again.
    Reheard,
    /// The session must have noticed what is clearly said on the line.
    Deaf,
    /// The session must have taken what it heard for a turn.
    Taken,
    /// Whoever was rung up has had time to say hello.
    Hello,
    /// The engine session is to be replaced in the next pause.
    SessionAge,
    /// What the caller says into the agent's words must have shown what it is.
    Floor,
    /// The caller waits for an answer or an action and hears nothing.
    Filler,
    /// The caller is to be told that the maximum duration is near.
    TimeWarning,
    /// Keys pressed wait for more.
    Dtmf,
    /// A tool call waits for what the caller's answer means.
    Consent,
    /// A summary of older turns is due, or has had its time.
    Summary,
    /// The engine has had time to do what the caller asks of the call.
    Steering,
    /// The last words have had their time.
    LastWords,
    /// A transcript still owed when the call ends has had its time.
    LastTranscript,
    /// Everything must be gone.
    Teardown,
}

const COUNT: usize = 21;

/// At most one deadline of each kind.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Timers([Option<CallTime>; COUNT]);

impl Timers {
    const ALL: [Timer; COUNT] = [
        Timer::Answer,
        Timer::MaxDuration,
        Timer::IdleMedia,
        Timer::IdleSpeech,
        Timer::EngineProgress,
        Timer::AskAgain,
        Timer::Reheard,
        Timer::Deaf,
        Timer::Taken,
        Timer::Hello,
        Timer::SessionAge,
        Timer::Floor,
        Timer::Filler,
        Timer::TimeWarning,
        Timer::Dtmf,
        Timer::Consent,
        Timer::Summary,
        Timer::Steering,
        Timer::LastWords,
        Timer::LastTranscript,
        Timer::Teardown,
    ];

    /// Sets or moves a deadline.
    pub fn set(&mut self, timer: Timer, at: CallTime) {
        self.0[timer as usize] = Some(at);
    }

    /// Sets a deadline, or moves it nearer.
    pub fn set_sooner(&mut self, timer: Timer, at: CallTime) {
        let slot = &mut self.0[timer as usize];
        *slot = Some(slot.map_or(at, |set| set.min(at)));
    }

    /// Forgets a deadline.
    pub fn clear(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    /// Forgets all of them.
    pub fn clear_all(&mut self) {
        *self = Self::default();
    }

    /// Whether a deadline of this kind is set.
    #[must_use]
    pub fn is_set(&self, timer: Timer) -> bool {
        self.0[timer as usize].is_some()
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<CallTime> {
        self.0.iter().flatten().min().copied()
    }

    /// Takes out one that is due, the earliest first.
    pub fn pop_due(&mut self, now: CallTime) -> Option<Timer> {
        let due = Self::ALL
            .into_iter()
            .filter(|timer| self.0[*timer as usize].is_some_and(|at| at <= now))
            .min_by_key(|timer| self.0[*timer as usize])?;
        self.clear(due);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_due_comes_out_once_and_earliest_first() {
        let mut timers = Timers::default();
        timers.set(Timer::MaxDuration, Duration::from_secs(9));
        timers.set(Timer::IdleMedia, Duration::from_secs(3));
        timers.set(Timer::Answer, Duration::from_secs(5));
        assert_eq!(timers.next(), Some(Duration::from_secs(3)));
        let now = Duration::from_secs(6);
        assert_eq!(timers.pop_due(now), Some(Timer::IdleMedia));
        assert_eq!(timers.pop_due(now), Some(Timer::Answer));
        assert_eq!(timers.pop_due(now), None);
    }

    #[test]
    fn every_timer_has_its_own_place() {
        let mut timers = Timers::default();
        for (at, timer) in Timers::ALL.into_iter().enumerate() {
            timers.set(timer, Duration::from_secs(at as u64));
        }
        assert_eq!(timers.0.iter().flatten().count(), COUNT);
    }

    #[test]
    fn a_timer_is_due_from_its_very_moment_and_not_before() {
        let mut timers = Timers::default();
        timers.set(Timer::Dtmf, Duration::from_millis(1500));
        assert_eq!(timers.pop_due(Duration::from_millis(1499)), None);
        assert_eq!(timers.pop_due(Duration::from_millis(1500)), Some(Timer::Dtmf));
    }

    #[test]
    fn a_timer_set_sooner_never_moves_away() {
        let mut timers = Timers::default();
        for (wanted, due) in [(9, 9), (5, 5), (7, 5)] {
            timers.set_sooner(Timer::Answer, Duration::from_secs(wanted));
            assert_eq!(timers.next(), Some(Duration::from_secs(due)));
        }
    }

    #[test]
    fn a_timer_is_set_until_it_is_forgotten() {
        let mut timers = Timers::default();
        for timer in [Timer::Answer, Timer::Dtmf, Timer::Teardown] {
            assert!(!timers.is_set(timer));
            timers.set(timer, Duration::from_secs(1));
            assert!(timers.is_set(timer));
        }
        timers.clear(Timer::Dtmf);
        assert!(!timers.is_set(Timer::Dtmf) && timers.is_set(Timer::Answer));
        timers.clear_all();
        assert_eq!(timers.next(), None);
    }
}
