//! Echoes, callers, and both, over sounds that are made here.

use super::*;

const FRAME: usize = 160;

/// Something like speech: three formants over a gliding pitch, in syllables; another `voice`, another sound.
fn speech(voice: u32, frames: usize) -> Vec<i16> {
    let (pitch, pace) = (110.0 + 37.0 * voice as f32, 3.1 + 0.7 * voice as f32);
    let mut phase = 0.0_f32;
    (0..frames * FRAME)
        .map(|n| {
            let t = n as f32 / 8000.0;
            phase += std::f32::consts::TAU * (pitch + 25.0 * (t * 1.7 + voice as f32).sin()) / 8000.0;
            let vowel = 3.0 + 2.0 * (t * pace * 1.3 + voice as f32).sin();
            let wave: f32 = (1..14).map(|k| (phase * k as f32).sin() / (1.0 + (k as f32 - vowel).powi(2))).sum();
            let syllable = (0.5 - 0.5 * (t * pace * std::f32::consts::TAU).cos()).powi(2);
            (wave * syllable * 7000.0) as i16
        })
        .collect()
}

fn bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// What comes back of `sent` at a frame: `db` quieter, `late` frames later, smeared a little.
fn back(sent: &[i16], frame: usize, late: usize, db: i32) -> Vec<i16> {
    back_later(sent, frame, (late * FRAME) as f32, db)
}

/// The same so many samples later, which need not be whole ones.
fn back_later(sent: &[i16], frame: usize, late: f32, db: i32) -> Vec<i16> {
    let gain = 10_f32.powf(db as f32 / 20.0);
    let (whole, part) = (late as usize, late.fract());
    let there = |n: usize| n.checked_sub(whole).and_then(|n| sent.get(n)).map_or(0.0, |sample| f32::from(*sample));
    let at = |n: usize| (1.0 - part) * there(n) + part * there(n.saturating_sub(1));
    let smeared = |n: usize| 0.9 * at(n) + 0.3 * at(n.saturating_sub(4)) - 0.2 * at(n.saturating_sub(9));
    (frame * FRAME..(frame + 1) * FRAME).map(|n| (gain * smeared(n)) as i16).collect()
}

/// A line after `frames` frames of the agent, of which 17 are sent ahead; `own` is added to the echo of the last ones.
struct Line {
    watch: EchoWatch,
    agent: Vec<i16>,
    frame: usize,
}

impl Line {
    fn new() -> Self {
        let mut line = Self { watch: EchoWatch::new(8000), agent: speech(0, 400), frame: 0 };
        line.watch.sent(&bytes(&line.agent[..17 * FRAME]));
        line
    }

    fn tick(&mut self, echo: Option<(usize, i32)>, own: &[i16]) -> Pass {
        let ahead = (self.frame + 17) * FRAME;
        self.watch.sent(&bytes(&self.agent[ahead..ahead + FRAME]));
        let mut frame = echo.map_or(vec![0; FRAME], |(late, db)| back(&self.agent, self.frame, late, db));
        frame.iter_mut().zip(own).for_each(|(sample, own)| *sample = sample.saturating_add(*own));
        self.frame += 1;
        self.watch.heard(&bytes(&frame))
    }

    fn run(&mut self, frames: usize, echo: Option<(usize, i32)>) -> Vec<Pass> {
        (0..frames).map(|_| self.tick(echo, &[])).collect()
    }
}

#[test]
fn an_echo_is_known_at_any_level_and_delay_and_kept_from_the_engine() {
    for (late, db) in [(1, -12), (40, -12), (4, -18), (12, -24), (1, -30), (40, -30)] {
        let mut line = Line::new();
        line.run(50, Some((late, db)));
        let mut known = (0..50).map(|_| (line.tick(Some((late, db)), &[]), line.watch.is_echo()).1);
        assert!(known.any(|known| known), "{db} dB, {late} frames late");
        let passed = line.run(60, Some((late, db)));
        let kept = passed.iter().filter(|pass| **pass == Pass::Silence).count();
        let callers = passed.iter().filter(|pass| matches!(pass, Pass::Caller)).count();
        // The rest is too quiet for anybody to take it for speech.
        assert!(kept >= 20 && callers == 0, "{db} dB, {late} frames late: {kept} of 60 kept, {callers} callers");
    }
}

#[test]
fn an_echo_is_known_between_two_of_the_samples_that_are_looked_at() {
    for late in [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75] {
        let late = late + (10 * FRAME) as f32;
        let mut line = Line::new();
        line.run(60, None);
        let (mut echoes, mut callers) = (0, 0);
        for _ in 0..200 {
            let own = back_later(&line.agent, line.frame, late, -12);
            line.tick(None, &own);
            match line.watch.look(0) {
                Sound::Echo => echoes += 1,
                Sound::Caller => callers += 1,
                Sound::Quiet => {}
            }
        }
        assert!(echoes > 100 && callers == 0, "{late} samples late: {echoes} echoes, {callers} callers");
    }
}

#[test]
fn an_echo_is_known_between_two_syllables_as_well() {
    for (late, db) in [(4, -12), (4, -24), (12, -24)] {
        let mut line = Line::new();
        line.run(30, Some((late, db)));
        let mut quiet = 0;
        for frame in 0..120 {
            line.tick(Some((late, db)), &[]);
            quiet += usize::from(line.watch.look(0) == Sound::Quiet);
            assert!(line.watch.is_echo(), "{db} dB, {late} frames late, frame {frame}");
        }
        assert!(quiet > 0, "{db} dB, {late} frames late: there was no pause");
    }
}

#[test]
fn a_caller_on_a_clean_line_is_no_echo() {
    for voice in 1..6 {
        let mut line = Line::new();
        line.run(40, None);
        for (at, own) in speech(voice, 120).chunks(FRAME).enumerate() {
            assert_eq!(line.tick(None, own), Pass::As, "voice {voice}, frame {at}");
            assert!(at % 12 != 5 || !line.watch.is_echo(), "voice {voice}, frame {at}");
        }
    }
}

#[test]
fn what_begins_alone_is_no_echo_of_a_voice_that_spoke_before() {
    let vowel: Vec<i16> =
        (0..400 * FRAME).map(|n| ((n as f32 * std::f32::consts::TAU * 130.0 / 8000.0).sin() * 9000.0) as i16).collect();
    let looks = |begins: usize| {
        let mut line = Line { agent: vowel.clone(), ..Line::new() };
        let mut looks = Vec::new();
        for frame in 0..60 {
            line.tick((frame >= begins).then_some((4, -18)), &[]);
            looks.push(line.watch.look(0));
        }
        looks
    };
    let alone = looks(40);
    assert!(alone[20..40].iter().all(|sound| *sound == Sound::Quiet), "{alone:?}");
    assert!(alone[41..44].iter().all(|sound| *sound == Sound::Caller), "a vowel like the agent's: {alone:?}");
    assert_eq!(looks(0)[41..44], [Sound::Echo; 3], "the same had it come back all the time");
}

#[test]
fn what_was_heard_before_the_agent_spoke_is_no_echo_however_alike() {
    let said = speech(2, 60);
    let mut watch = EchoWatch::new(8000);
    watch.paused();
    for frame in said.chunks(FRAME) {
        let _ = watch.heard(&bytes(frame));
    }
    // The agent says the very same from now on, while the caller is silent.
    for (at, frame) in said[45 * FRAME..].chunks(FRAME).enumerate() {
        watch.sent(&bytes(frame));
        let _ = watch.heard(&[0; 2 * FRAME]);
        assert!(!watch.is_echo(), "{} ms after they fell silent", at * 20);
    }
}

#[test]
fn a_caller_over_an_echo_stops_the_agent_in_a_few_frames() {
    let mut line = Line::new();
    line.run(60, Some((4, -18)));
    assert!(line.watch.is_echo());
    line.run(20, Some((4, -18)));
    let own = speech(2, 40);
    let after = own.chunks(FRAME).position(|own| line.tick(Some((4, -18)), own) == Pass::Caller);
    assert!(after.is_some_and(|after| after < 15), "{after:?}");
    assert_eq!(line.tick(Some((4, -18)), &[]), Pass::As, "from then on the engine hears all");
}

#[test]
fn silence_and_a_line_without_an_agent_are_no_echo() {
    let mut watch = EchoWatch::new(8000);
    for frame in speech(1, 20).chunks(FRAME) {
        assert_eq!(watch.heard(&bytes(frame)), Pass::As);
        assert!(!watch.is_echo());
    }
    let mut line = Line::new();
    line.run(60, None);
    assert!(!line.watch.is_echo());
}

#[test]
fn streams_of_other_rates_are_looked_at_alike() {
    for times in [2, 3] {
        let mut watch = EchoWatch::new(8000 * times as u32);
        let slow = |samples: &[i16]| bytes(&samples.iter().flat_map(|s| vec![*s; times]).collect::<Vec<_>>());
        let agent = speech(0, 100);
        watch.sent(&slow(&agent[..60 * FRAME]));
        for frame in 0..50 {
            let _ = watch.heard(&slow(&back(&agent, frame, 4, -18)));
        }
        assert!(watch.is_echo(), "{times} times 8 kHz");
    }
}
