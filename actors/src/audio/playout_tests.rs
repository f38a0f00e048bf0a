//! Playout by the clock: pacing, marks, interruptions.

use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn speech(ms: u64) -> Bytes {
    vec![1u8; ms as usize * 16].into()
}

fn item(name: &str) -> Arc<str> {
    name.into()
}

/// Runs the pump until `until`, as a timer would, and returns what was sent when.
fn run(playout: &mut Playout, from: u64, until: u64) -> Vec<(u64, Step)> {
    let mut log = Vec::new();
    let mut now = MS(from);
    loop {
        let mut steps = Vec::new();
        let wake = playout.pump(now, &mut steps);
        log.extend(steps.into_iter().map(|step| (now.as_millis() as u64, step)));
        match wake {
            Some(at) if at <= MS(until) => now = at.max(now + MS(1)),
            _ => return log,
        }
    }
}

fn sent_ms(log: &[(u64, Step)]) -> u64 {
    log.iter().map(|(_, step)| if let Step::Send(bytes, _) = step { bytes.len() as u64 / 16 } else { 0 }).sum()
}

#[test]
fn a_burst_is_paced_and_never_more_than_400_ms_ahead() {
    let mut playout = Playout::new(8000);
    playout.push(MS(0), &item("a"), speech(2000));
    let log = run(&mut playout, 0, 3000);
    assert_eq!(sent_ms(&log), 2000);
    let mut sent = 0;
    for (at, step) in &log {
        if let Step::Send(bytes, heard_at) = step {
            assert_eq!(bytes.len() % UNIT_BYTES, 0);
            assert_eq!(heard_at.as_millis() as u64, sent, "each frame is heard right after the one before");
            sent += bytes.len() as u64 / 16;
            assert!(sent <= at + AHEAD_MAX.as_millis() as u64, "{sent} ms sent at {at} ms");
        }
    }
}

#[test]
fn a_trickle_goes_out_at_once_in_its_own_size() {
    let mut playout = Playout::new(8000);
    for n in 0..50u64 {
        playout.push(MS(n * 20), &item("a"), speech(20));
        let mut steps = Vec::new();
        playout.pump(MS(n * 20), &mut steps);
        let sends = steps.iter().filter(|step| matches!(step, Step::Send(bytes, _) if bytes.len() == 320)).count();
        assert_eq!(sends, 1, "frame {n} waited");
    }
}

#[test]
fn a_short_tail_is_padded_to_a_whole_unit() {
    let mut playout = Playout::new(8000);
    playout.push(MS(0), &item("a"), speech(105));
    let log = run(&mut playout, 0, 2000);
    assert_eq!(sent_ms(&log), 120);
}

#[test]
fn silence_after_speech_drains_with_or_without_marks() {
    for marks in [true, false] {
        let mut playout = Playout::new(8000);
        playout.push(MS(0), &item("a"), speech(200));
        let mut log = run(&mut playout, 0, 150);
        if marks {
            let name = log.iter().rev().find_map(|(_, s)| if let Step::Mark(n) = s { Some(n.clone()) } else { None });
            playout.mark_played(MS(230), &name.expect("the end of speech is marked"));
            log = run(&mut playout, 230, 230);
        } else {
            log = run(&mut playout, 160, 2000);
        }
        let drained = log.iter().find(|(_, step)| *step == Step::Drained).map(|(at, _)| *at);
        assert_eq!(drained, Some(if marks { 230 } else { 800 }));
        assert!(!playout.is_active());
    }
}

#[test]
fn an_interruption_tells_what_was_heard_of_each_item() {
    let mut playout = Playout::new(8000);
    playout.push(MS(0), &item("a"), speech(300));
    playout.push(MS(0), &item("b"), speech(1000));
    playout.push(MS(0), &item("c"), speech(500));
    run(&mut playout, 0, 700);
    let cuts = playout.interrupt(MS(700));
    let heard: Vec<_> = cuts.iter().map(|cut| (&*cut.item, cut.heard_ms, cut.total_ms)).collect();
    assert_eq!(heard, [("b", 400, 1000), ("c", 0, 500)]);
    assert!(!playout.is_active());
    assert_eq!(playout.interrupt(MS(800)), []);
}

#[test]
fn marks_correct_the_estimate_when_the_line_lags() {
    let mut playout = Playout::new(8000);
    playout.push(MS(0), &item("a"), speech(1000));
    let log = run(&mut playout, 0, 300);
    let (_, Step::Mark(first)) =
        log.iter().find(|(_, s)| matches!(s, Step::Mark(_))).expect("a mark after the first message").clone()
    else {
        unreachable!()
    };
    // 100 ms of audio, confirmed only 350 ms after it was sent: the ear is behind the clock.
    run(&mut playout, 301, 349);
    playout.mark_played(MS(350), &first);
    run(&mut playout, 350, 749);
    assert_eq!(playout.interrupt(MS(750))[0].heard_ms, 500);
}

#[test]
fn marks_after_an_interruption_change_nothing() {
    let mut playout = Playout::new(8000);
    playout.push(MS(0), &item("a"), speech(1000));
    run(&mut playout, 0, 300);
    playout.interrupt(MS(300));
    let before = playout.position(MS(400));
    playout.mark_played(MS(400), "m1");
    playout.mark_played(MS(400), "never sent");
    assert_eq!(playout.position(MS(400)), before);
}

#[test]
fn each_item_begins_once() {
    let mut playout = Playout::new(8000);
    for n in 0..100u64 {
        playout.push(MS(n * 20), &item("a"), speech(20));
        let mut steps = Vec::new();
        playout.pump(MS(n * 20), &mut steps);
        let began = steps.iter().any(|step| matches!(step, Step::Began(..)));
        assert_eq!(began, n == 0, "frame {n}");
        if let Some(Step::Mark(name)) = steps.iter().find(|s| matches!(s, Step::Mark(_))) {
            playout.mark_played(MS(n * 20 + 20), name);
        }
    }
}

#[test]
fn an_item_that_goes_on_after_a_silence_begins_again() {
    let mut playout = Playout::new(8000);
    playout.push(MS(0), &item("a"), speech(100));
    let log = run(&mut playout, 0, 2000);
    assert!(log.iter().any(|(_, step)| *step == Step::Drained));
    playout.push(MS(2000), &item("a"), speech(100));
    let log = run(&mut playout, 2000, 2050);
    assert_eq!(log.iter().filter(|(_, step)| matches!(step, Step::Began(named, _) if *named == item("a"))).count(), 1);
}

#[test]
fn how_much_sound_an_item_had_is_told_when_another_begins_and_when_all_is_heard() {
    let mut playout = Playout::new(8000);
    playout.push(MS(0), &item("a"), speech(300));
    playout.push(MS(0), &item("a"), speech(200));
    playout.push(MS(0), &item("b"), speech(100));
    let log = run(&mut playout, 0, 3000);
    let told = log.iter().filter(|(_, step)| matches!(step, Step::Began(..) | Step::Sounded(..) | Step::Drained));
    let told: Vec<String> = told.map(|(_, step)| format!("{step:?}").chars().take(20).collect()).collect();
    let expected = [
        "Began(\"a\", Some(Firs",
        "Sounded(\"a\", 500ms)",
        "Began(\"b\", Some(Firs",
        "Sounded(\"b\", 100ms)",
        "Drained",
    ];
    assert_eq!(told, expected);
}

fn began(log: &[(u64, Step)]) -> Option<FirstSound> {
    log.iter().find_map(|(_, step)| if let Step::Began(_, first) = step { *first } else { None })
}

fn heard(log: &[(u64, Step)]) -> Vec<(&str, u64)> {
    let told =
        log.iter().filter_map(|(_, step)| if let Step::Heard(item, at) = step { Some((item, at)) } else { None });
    told.map(|(item, at)| (&**item, at.as_millis() as u64)).collect()
}

#[test]
fn the_first_sound_of_an_item_is_timed_and_the_carriers_mark_corrects_it() {
    let mut playout = Playout::new(8000);
    playout.push(MS(0), &item("a"), speech(300));
    run(&mut playout, 0, 100);
    // Behind what the carrier still has to play.
    playout.push(MS(120), &item("b"), speech(1500));
    let log = run(&mut playout, 120, 140);
    let first = began(&log).expect("it begins");
    assert_eq!((first.made, first.sent, first.heard), (MS(120), MS(120), MS(300)));
    let marks: Vec<_> =
        log.iter().filter_map(|(_, s)| if let Step::Mark(n) = s { Some(n.clone()) } else { None }).collect();
    assert_eq!(&*marks[0], "m3", "the first two were the other's");
    // Marks tell that the carrier plays 70 ms later than was thought; an earlier one's comes with it.
    playout.mark_played(MS(470), &marks[0]);
    assert_eq!(heard(&run(&mut playout, 470, 471)), [("a", 70), ("b", 370)]);
    playout.mark_played(MS(471), &marks[0]);
    assert_eq!(heard(&run(&mut playout, 472, 473)), [], "told once");
    // The first mark was late itself: the next one, 400 ms of sound after it, is nearer the truth; a later one is not.
    let log = run(&mut playout, 474, 850);
    let next = log.iter().find_map(|(_, step)| if let Step::Mark(name) = step { Some(name.clone()) } else { None });
    playout.mark_played(MS(850), &next.expect("a mark"));
    assert_eq!(heard(&run(&mut playout, 850, 851)), [("b", 350)]);
    let log = run(&mut playout, 852, 1100);
    let last = log.iter().find_map(|(_, step)| if let Step::Mark(name) = step { Some(name.clone()) } else { None });
    playout.mark_played(MS(1300), &last.expect("a mark"));
    assert_eq!(heard(&run(&mut playout, 1300, 1301)), []);
}

#[test]
fn what_was_held_before_it_was_heard_begins_anew_and_old_marks_tell_nothing_of_it() {
    let mut playout = Playout::new(8000);
    playout.push(MS(0), &item("a"), speech(1000));
    run(&mut playout, 0, 0);
    playout.hold(MS(0));
    playout.mark_played(MS(20), "m1");
    playout.resume(MS(900));
    let log = run(&mut playout, 900, 950);
    assert_eq!(heard(&log), []);
    assert_eq!(began(&log), Some(FirstSound { made: MS(0), sent: MS(900), heard: MS(900) }));
    // Heard in part, it only goes on.
    playout.hold(MS(1000));
    playout.resume(MS(1500));
    let log = run(&mut playout, 1500, 1510);
    assert!(log.iter().any(|(_, step)| matches!(step, Step::Began(_, None))), "{log:?}");
}

#[test]
fn a_flood_is_bounded() {
    let mut playout = Playout::new(24_000);
    for _ in 0..400 {
        playout.push(MS(0), &item("a"), vec![0u8; 48_000].into());
    }
    assert!(playout.queued_bytes() <= QUEUE_BYTES_MAX);
    assert!(playout.dropped_bytes() > 0);
    // What there was no room for was not heard either.
    assert_eq!(playout.interrupt(MS(0)), [Cut { item: item("a"), heard_ms: 0, total_ms: 400_000 }]);
}

#[test]
fn what_is_held_goes_on_where_the_ear_was_and_is_heard_once() {
    let mut playout = Playout::new(8000);
    playout.push(MS(0), &item("a"), (0..16_000u32).flat_map(|n| (n as i16).to_le_bytes()).collect::<Vec<_>>().into());
    let mut log = run(&mut playout, 0, 500);
    assert_eq!(playout.hold(MS(500)), Some(MS(1500)));
    assert_eq!(run(&mut playout, 510, 2000), [], "nothing is sent while it is held");
    assert_eq!(playout.position(MS(2000)), 4000, "the ear waits");
    playout.resume(MS(2000));
    let after = run(&mut playout, 2000, 5000);
    assert!(matches!(after[0].1, Step::Began(..)), "{after:?}");
    log.truncate(log.len());
    let samples = |log: &[(u64, Step)]| -> Vec<i16> {
        let sends = log
            .iter()
            .filter_map(|(_, step)| if let Step::Send(bytes, _) = step { Some(bytes.to_vec()) } else { None });
        sends.flatten().collect::<Vec<u8>>().chunks(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    };
    let heard: Vec<i16> = samples(&log).into_iter().take(4000).chain(samples(&after)).collect();
    let said: Vec<i16> = (0..16_000u32).map(|n| n as i16).collect();
    assert_eq!(heard, said);
    assert!(after.iter().any(|(_, step)| *step == Step::Drained));
}

#[test]
fn what_is_held_may_be_cut_at_what_was_heard_and_silence_cannot_be_held() {
    let mut playout = Playout::new(8000);
    assert_eq!(playout.hold(MS(0)), None);
    playout.push(MS(0), &item("a"), speech(1000));
    run(&mut playout, 0, 300);
    playout.hold(MS(300));
    playout.push(MS(400), &item("a"), speech(500));
    assert_eq!(playout.interrupt(MS(900)), [Cut { item: item("a"), heard_ms: 300, total_ms: 1500 }]);
    playout.push(MS(1000), &item("b"), speech(100));
    assert_eq!(sent_ms(&run(&mut playout, 1000, 2000)), 100, "it is held no longer");
}

#[test]
fn what_a_socket_has_not_played_goes_to_the_next_and_old_marks_tell_nothing_of_it() {
    let mut playout = Playout::new(8000);
    playout.take_back(MS(0));
    playout.push(MS(0), &item("a"), speech(2000));
    let sent = sent_ms(&run(&mut playout, 0, 500));
    assert!(sent >= 800, "{sent}");
    playout.take_back(MS(500));
    playout.mark_played(MS(510), "m2");
    assert_eq!(playout.position(MS(500)), 4000);
    let after = run(&mut playout, 500, 5000);
    assert_eq!(sent_ms(&after), 1500, "all that was not heard, at once");
    assert!(after.iter().any(|(_, step)| *step == Step::Drained));
    // What is held stays held: the caller speaks.
    playout.push(MS(6000), &item("b"), speech(1000));
    run(&mut playout, 6000, 6300);
    playout.hold(MS(6300));
    playout.take_back(MS(6400));
    assert_eq!(run(&mut playout, 6400, 7000), []);
    playout.resume(MS(7000));
    assert_eq!(sent_ms(&run(&mut playout, 7000, 9000)), 700);
}

#[test]
fn a_mark_that_comes_before_its_sound_can_have_been_heard_is_not_believed() {
    let mut playout = Playout::new(8000);
    playout.push(MS(0), &item("a"), speech(5_000));
    let (mut now, mut most) = (0, 0);
    let mut log = Vec::new();
    // A peer that sends every mark back as it comes.
    while now < 3_000 {
        let steps = run(&mut playout, now, now);
        for (_, step) in &steps {
            if let Step::Mark(name) = step {
                playout.mark_played(MS(now), name);
            }
        }
        log.extend(steps);
        most = most.max(sent_ms(&log).saturating_sub(now));
        now += 10;
    }
    let ahead = (AHEAD_MAX + MARK_EARLY).as_millis() as u64;
    assert!(most <= ahead, "{most} ms were sent ahead");
    let [cut] = &playout.interrupt(MS(now))[..] else { panic!("it is cut") };
    assert!((now..=now + MARK_EARLY.as_millis() as u64).contains(&cut.heard_ms), "{cut:?} at {now}");
}

#[test]
fn marks_that_are_long_on_their_way_leave_no_gap() {
    for late in [0, 300, 1_000, 3_000] {
        let mut playout = Playout::new(8000);
        playout.push(MS(0), &item("a"), speech(6_000));
        // A carrier that plays at once what it is sent, and whose marks come back late.
        let (mut sent, mut marks): (u64, VecDeque<(u64, String)>) = (0, VecDeque::new());
        for now in 0..6_000_u64 {
            while marks.front().is_some_and(|(at, _)| *at <= now) {
                let (_, name) = marks.pop_front().expect("there is one");
                playout.mark_played(MS(now), &name);
            }
            let mut steps = Vec::new();
            playout.pump(MS(now), &mut steps);
            for step in steps {
                match step {
                    Step::Send(bytes, _) => sent += bytes.len() as u64 / 16,
                    Step::Mark(name) => marks.push_back((sent + late, name.to_string())),
                    _ => {}
                }
            }
            assert!(sent > now, "{late} ms late: silent at {now} ms");
            assert!(sent <= now + 400, "{late} ms late: {} ms ahead", sent - now);
        }
    }
}
