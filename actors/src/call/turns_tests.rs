//! Who said what: order, ends, what was heard of it.

use super::super::history::{HISTORY_BYTES_MAX, HISTORY_MAX};
use super::*;
use std::time::Duration;

fn agent_items(turns: &Turns) -> Vec<Arc<str>> {
    turns.open.iter().filter(|draft| draft.speaker == Speaker::Agent).map(|draft| Arc::clone(&draft.item)).collect()
}

fn at(ms: u64) -> CallTime {
    Duration::from_millis(ms)
}

fn id(name: &str) -> Arc<str> {
    name.into()
}

/// What an engine tells that waits for no certain silence.
fn told_at(at: CallTime) -> Stopped {
    Stopped { at, window: None }
}

fn cut(item: &str, heard_ms: u64, total_ms: u64) -> Cut {
    Cut { item: id(item), heard_ms, total_ms }
}

#[test]
fn a_late_transcript_keeps_its_place_before_the_answer_it_caused() {
    let mut turns = Turns::default();
    turns.caller_began(at(1000), &id("u1"));
    turns.caller_stopped(at(2000), &id("u1"), told_at(at(2000)));
    turns.agent_words("r", &id("a1"), "It is on its way.");
    assert_eq!(turns.agent_began(at(2400), &id("a1"), None).map(|latency| latency.to_sent()), Some(at(400)));
    turns.answers_complete();
    turns.heard_all(at(4000));
    let answer = turns.finished(at(4000), false);
    assert_eq!(answer.len(), 1);
    let question = turns.caller_said(at(4100), &id("u1"), "Where is my order?");
    assert_eq!((question.started, question.ended), (at(1000), at(2000)));
    assert!(question.started < answer[0].started);
    let order: Vec<_> = turns.history().map(|(_, item)| matches!(item, ContextItem::Caller(_))).collect();
    assert_eq!(order, [true, false]);
}

#[test]
fn an_interrupted_turn_is_split_at_what_was_heard() {
    let mut turns = Turns::default();
    turns.agent_began(at(0), &id("a1"), None);
    turns.agent_said(&id("a1"), "one two three four five");
    turns.answers_complete();
    turns.heard_part(at(500), &[cut("a1", 500, 1000)]);
    let turn = turns.finished(at(500), false).remove(0);
    assert_eq!((&*turn.text, &*turn.unheard, turn.interrupted), ("one two", "three four five", true));
}

#[test]
fn what_was_made_but_never_began_to_play_is_not_a_turn() {
    let mut turns = Turns::default();
    turns.agent_said(&id("a1"), "never heard");
    turns.answers_complete();
    turns.heard_part(at(0), &[cut("a1", 0, 900)]);
    assert_eq!(turns.finished(at(1), false), []);
}

#[test]
fn a_turn_is_over_only_when_its_words_are_complete_and_heard() {
    let mut turns = Turns::default();
    turns.agent_began(at(0), &id("a1"), None);
    turns.agent_words("r", &id("a1"), "half a sen");
    turns.heard_all(at(100));
    assert_eq!(turns.finished(at(100), false), []);
    turns.answers_complete();
    assert_eq!(&*turns.finished(at(200), false)[0].text, "half a sen");
}

#[test]
fn words_that_are_all_there_before_their_sound_are_heard_no_sooner() {
    let words = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen";
    type Ends = fn(&mut Turns);
    let rows: [(&str, Ends, &str); 7] = [
        ("cut in its sound", |turns| turns.heard_part(at(500), &[cut("a1", 500, 1000)]), "one two"),
        ("broken off after a part of it was heard", Turns::broke_off, "one two three"),
        ("the same, told by the end of the call", |turns| drop(turns.finished(at(1), false)), "one two three"),
        (
            "broken off and then cut",
            |turns| {
                turns.broke_off();
                turns.heard_part(at(1500), &[cut("a1", 500, 1000)]);
            },
            "one two",
        ),
        ("made to its end", Turns::answers_complete, words),
        (
            "made to its end, though its session was lost before it said so",
            |turns| {
                turns.words_made(&id("a1"));
                turns.sound_made(&id("a1"));
                turns.session_gone();
            },
            words,
        ),
        (
            "made to its end and then cut",
            |turns| {
                turns.answers_complete();
                turns.heard_part(at(1500), &[cut("a1", 500, 1000)]);
            },
            "one two three four five six seven eight nine ten",
        ),
    ];
    for (what, ends, heard) in rows {
        let mut turns = Turns::default();
        turns.agent_began(at(0), &id("a1"), None);
        turns.agent_said(&id("a1"), words);
        assert_eq!(turns.finished(at(100), false), [], "{what}");
        ends(&mut turns);
        turns.broke_off();
        turns.heard_all(at(1500));
        assert_eq!(&*turns.finished(at(1500), true)[0].text, heard, "{what}");
    }
}

#[test]
fn of_an_answer_that_broke_off_no_more_is_heard_than_was_made() {
    let words = "one two three four five six seven eight nine ten eleven twelve";
    for (sound, heard) in [
        (None, "one two three four five six seven eight"),
        (Some(700), "one two"),
        (Some(9_000), "one two three four five six seven eight nine"),
    ] {
        let mut turns = Turns::default();
        turns.agent_words("r", &id("a1"), words);
        turns.agent_began(at(0), &id("a1"), None);
        turns.broke_off();
        sound.into_iter().for_each(|ms| turns.agent_sounded("a1", at(ms)));
        // Its end is known only by what follows, long after.
        turns.heard_all(at(3_400));
        assert_eq!(&*turns.finished(at(3_400), false)[0].text, heard, "{sound:?}");
    }
}

#[test]
fn a_turn_whose_beginning_was_forgotten_did_not_begin_when_it_ended() {
    let mut turns = Turns::default();
    turns.caller_began(at(1000), &id("u"));
    for n in 0..OPEN_MAX as u64 {
        turns.caller_began(at(2000 + n), &id(&n.to_string()));
    }
    turns.caller_stopped(at(5000), &id("u"), told_at(at(5000)));
    // A yes to what was asked at 4 s would have begun after that.
    assert_eq!(turns.caller_said(at(6000), &id("u"), "haan").started, at(1000));
    assert_eq!(turns.caller_said(at(6000), &id("never heard of"), "haan").started, at(1000));
}

#[test]
fn words_heard_follow_the_share_of_audio_heard() {
    for (heard, expected) in
        [(0, ""), (1, ""), (466, ""), (467, "namaste"), (999, "namaste ji"), (1000, "namaste ji haan")]
    {
        assert_eq!(split_heard("namaste ji haan", Some(&cut("a", heard, 1000))).0, expected, "at {heard} ms");
    }
    assert_eq!(split_heard("नमस्ते जी", Some(&cut("a", 700, 1000))).0, "नमस्ते");
}

#[test]
fn of_two_turns_heard_in_a_row_the_first_ends_where_the_second_begins() {
    let mut turns = Turns::default();
    for (item, began) in [("a1", 0), ("a2", 900)] {
        turns.agent_said(&id(item), "words");
        turns.answers_complete();
        turns.agent_began(at(began), &id(item), None);
    }
    turns.heard_all(at(2000));
    let ends: Vec<_> = turns.finished(at(2000), false).iter().map(|turn| turn.ended).collect();
    assert_eq!(ends, [at(900), at(2000)]);
}

#[test]
fn history_is_bounded_and_latency_is_measured_once() {
    let mut turns = Turns::default();
    for n in 0..HISTORY_MAX as u64 + 9 {
        let item = id(&n.to_string());
        turns.caller_began(at(n * 10), &item);
        turns.caller_stopped(at(n * 10 + 5), &item, told_at(at(n * 10 + 5)));
        let _ = turns.caller_said(at(n * 10 + 5), &item, "haan");
    }
    assert_eq!(turns.history().count(), HISTORY_MAX);
    assert_eq!(turns.agent_began(at(2490), &id("a"), None).map(|latency| latency.to_sent()), Some(at(5)));
    assert_eq!(turns.agent_began(at(2500), &id("b"), None), None);
}

#[test]
fn history_is_bounded_by_the_length_of_its_words_and_can_be_shortened() {
    let mut turns = Turns::default();
    let long: Arc<str> = "x".repeat(3000).into();
    for n in 0..40 {
        assert_eq!(turns.is_long(), n >= 17, "{n} times 3,000 bytes");
        turns.recall(at(n), Speaker::Caller, &long);
    }
    assert_eq!(turns.history().count(), HISTORY_BYTES_MAX / 3000);
    turns.forget_before(at(30));
    assert_eq!(turns.history().map(|(said, _)| *said).min(), Some(at(30)));
    assert_eq!(turns.history().count(), 10);
}

/// The caller speaks until 2.0 s, as the line tells; the engine hears of it 500 ms later.
fn asked() -> Turns {
    let mut turns = Turns::default();
    turns.caller_began(at(1000), &id("u1"));
    [1300, 2000].map(at).into_iter().for_each(|since| turns.line_quiet(since));
    turns.caller_stopped(at(2560), &id("u1"), Stopped { at: at(2510), window: Some(at(500)) });
    turns.caller_committed(at(2570), &id("u1"));
    turns.agent_said(&id("a1"), "It is on its way.");
    turns.answers_complete();
    turns
}

const FIRST: FirstSound = FirstSound {
    made: Duration::from_millis(3000),
    sent: Duration::from_millis(3004),
    heard: Duration::from_millis(3010),
};

#[test]
fn an_answer_is_timed_at_five_points_from_the_end_of_speech_on_the_line() {
    let latency = |spoken, committed: Option<u64>, heard: Option<u64>| Latency {
        spoken: at(spoken),
        committed: committed.map(at),
        heard: heard.map(at),
        made: FIRST.made,
        sent: FIRST.sent,
    };
    type Change = fn(&mut Turns);
    let table: [(&str, Change, Change, Option<Latency>); 7] = [
        (
            "by the mark",
            |_| (),
            |turns| turns.agent_heard(&id("a1"), at(3090)),
            Some(latency(2000, Some(2570), Some(3090))),
        ),
        ("without marks", |_| (), |_| (), Some(latency(2000, Some(2570), Some(3010)))),
        (
            "a mark of another",
            |_| (),
            |turns| turns.agent_heard(&id("a2"), at(1)),
            Some(latency(2000, Some(2570), Some(3010))),
        ),
        (
            "a commit of another",
            |turns| turns.caller_committed(at(2900), &id("u0")),
            |_| (),
            Some(latency(2000, Some(2570), Some(3010))),
        ),
        (
            "cut before it was heard",
            |_| (),
            |turns| turns.heard_part(at(3008), &[cut("a1", 0, 900)]),
            Some(latency(2000, Some(2570), None)),
        ),
        (
            "held before it was heard, and heard later",
            |_| (),
            |turns| {
                let later = FirstSound { heard: at(3900), sent: at(3900), ..FIRST };
                let _ = turns.agent_began(at(3900), &id("a1"), Some(later));
            },
            Some(latency(2000, Some(2570), Some(3900))),
        ),
        ("nothing was asked", Turns::no_answer_owed, |_| (), None),
    ];
    for (name, before, after, expected) in table {
        let mut turns = asked();
        before(&mut turns);
        let _ = turns.agent_began(at(3004), &id("a1"), Some(FIRST));
        after(&mut turns);
        turns.heard_all(at(5000));
        assert_eq!(turns.finished(at(5000), false)[0].latency, expected, "{name}");
    }
    let mut turns = asked();
    assert_eq!(turns.caller_said(at(2800), &id("u1"), "Where is my order?").ended, at(2000), "the turn ends there too");
}

#[test]
fn a_turn_written_down_leaves_the_others_under_way() {
    let mut turns = Turns::default();
    turns.agent_words("r", &id("a1"), "");
    turns.agent_words("r", &id("a2"), "Ek minute");
    for item in ["u1", "u2"] {
        turns.caller_began(at(0), &id(item));
    }
    assert!(!turns.owes_transcript(), "the caller still speaks");
    turns.caller_stopped(at(500), &id("u1"), told_at(at(500)));
    assert!(turns.owes_transcript());
    let _ = turns.caller_said(at(600), &id("u1"), "haan");
    assert!(!turns.owes_transcript());
    assert_eq!(agent_items(&turns), [id("a1"), id("a2")]);
    assert_eq!(&*turns.agent_under_way(), "Ek minute");
}

#[test]
fn words_of_one_item_are_kept_up_to_64_kib() {
    let mut turns = Turns::default();
    turns.agent_words("r", &id("a1"), &"x".repeat(64 * 1024 - 1));
    turns.agent_words("r", &id("a1"), "y");
    turns.agent_words("r", &id("a1"), "z");
    assert_eq!(turns.agent_under_way().len(), 64 * 1024);
}

#[test]
fn the_oldest_of_too_many_utterances_is_dropped() {
    let mut turns = Turns::default();
    for n in 0..=OPEN_MAX {
        turns.agent_words("r", &id(&n.to_string()), "x");
    }
    assert_eq!(agent_items(&turns).len(), OPEN_MAX);
    assert_eq!(agent_items(&turns).first(), Some(&id("1")));
}

#[test]
fn a_turn_that_goes_on_after_a_silence_ends_when_all_of_it_is_heard() {
    let mut turns = Turns::default();
    turns.agent_said(&id("a1"), "words");
    turns.answers_complete();
    for began in [0, 500] {
        turns.agent_began(at(began), &id("a1"), None);
    }
    turns.heard_all(at(1000));
    let turn = turns.finished(at(1000), false).remove(0);
    assert_eq!((turn.started, turn.ended), (at(0), at(1000)));
}

#[test]
fn while_it_holds_the_agent_says_nothing() {
    let words = "one two three four five six seven eight nine ten eleven twelve";
    let mut turns = Turns::default();
    turns.agent_words("r", &id("a1"), words);
    turns.agent_began(at(0), &id("a1"), None);
    turns.agent_holds(at(1000));
    turns.agent_goes_on(at(2000));
    turns.agent_holds(at(3000));
    // Another sound of the caller's: it has been silent since the first.
    turns.agent_holds(at(3500));
    turns.ear_lost(at(3600));
    // Two seconds, less what the carrier may not have played, and as much again that nobody knows of: 16 letters at the pace
    // of calm speech.
    let turn = turns.finished(at(5000), true).remove(0);
    assert_eq!((&*turn.text, turn.ended), ("one two three", at(3000)));
    // The same when the call is torn down in it.
    turns.agent_words("r", &id("a2"), words);
    turns.agent_began(at(10_000), &id("a2"), None);
    turns.agent_holds(at(12_000));
    assert_eq!(&*turns.finished(at(15_000), true)[0].text, "one two three four");
    // What was silent in one turn is not taken from the next.
    turns.agent_goes_on(at(16_000));
    turns.agent_words("r", &id("a3"), words);
    turns.agent_began(at(20_000), &id("a3"), None);
    assert_eq!(&*turns.finished(at(22_000), true)[0].text, "one two three four");
}

#[test]
fn a_turn_that_has_not_begun_is_not_heard_with_the_one_before_it() {
    let mut turns = Turns::default();
    turns.agent_said(&id("a1"), "later");
    turns.answers_complete();
    turns.heard_all(at(100));
    assert_eq!(turns.finished(at(100), false), []);
    turns.agent_began(at(200), &id("a1"), None);
    turns.heard_all(at(300));
    assert_eq!(turns.finished(at(300), false).len(), 1);
}

#[test]
fn sound_without_words_is_not_a_turn_and_the_callers_turns_are_left_to_their_transcript() {
    let mut turns = Turns::default();
    turns.agent_began(at(0), &id("a1"), None);
    turns.agent_began(at(1), &id("a2"), None);
    turns.agent_words("r", &id("a2"), "half");
    turns.caller_began(at(2), &id("u1"));
    turns.caller_stopped(at(3), &id("u1"), told_at(at(3)));
    turns.caller_began(at(4), &id("u2"));
    let last = turns.finished(at(5), true);
    let last: Vec<_> = last.iter().map(|turn| (&*turn.text, &*turn.unheard)).collect();
    assert_eq!(last, [("", "half")], "nobody heard that in five milliseconds");
    let without: Vec<_> = turns.without_words(at(6)).iter().map(|turn| (turn.started, turn.ended)).collect();
    assert_eq!(without, [(at(2), at(3))], "one that goes on has not ended without words");
    assert_eq!(turns.history().count(), 0, "a turn without words is not told to the next session");
}

#[test]
fn history_is_in_the_order_in_which_speech_began_and_of_two_at_once_in_that_of_their_coming() {
    let mut turns = Turns::default();
    for (began, text) in [(0, "a"), (10, "c"), (5, "b"), (10, "d"), (20, "")] {
        turns.recall(at(began), Speaker::Agent, &id(text));
    }
    let told: Vec<_> = turns.history().map(|(_, item)| item.clone()).collect();
    assert_eq!(told, ["a", "b", "c", "d"].map(|text| ContextItem::Agent(text.into())));
}

#[test]
fn what_has_begun_is_told_as_far_as_it_is_known() {
    let mut turns = Turns::default();
    turns.agent_began(at(1), &id("a1"), None);
    turns.agent_began(at(2), &id("a2"), None);
    turns.agent_words("r", &id("a2"), "Ek minute ");
    turns.agent_words("r", &id("a3"), "not begun");
    turns.caller_began(at(3), &id("u1"));
    let told: Vec<_> = turns.under_way().collect();
    assert_eq!(told[0], (at(2), ContextItem::Agent("Ek minute".into())));
    assert!(matches!(&told[1], (began, ContextItem::Note(_)) if *began == at(3)), "words are still to come");
    assert_eq!(told.len(), 2);
}

#[test]
fn words_of_what_was_silenced_are_there_if_its_sound_was_on_its_way() {
    let mut turns = Turns::default();
    // It was silenced before it began, and its first words came before the word of its sound.
    turns.silence(&id("r1"));
    turns.agent_words("r1", &id("a1"), "one two ");
    assert_eq!(&*turns.agent_under_way(), "");
    turns.agent_began(at(0), &id("a1"), None);
    turns.agent_words("r1", &id("a1"), "three four");
    turns.heard_part(at(500), &[Cut { item: id("a1"), heard_ms: 500, total_ms: 1000 }]);
    turns.broke_off();
    let turn = turns.finished(at(500), false).remove(0);
    assert_eq!((&*turn.text, &*turn.unheard), ("one two", "three four"));
    // Words that were there before are there after.
    turns.agent_words("r2", &id("a2"), "five six");
    turns.agent_silenced(Some(&id("r2")));
    assert_eq!(turns.finished(at(900), true), []);
    turns.agent_began(at(1000), &id("a2"), None);
    assert_eq!(&*turns.agent_under_way(), "five six");
}

#[test]
fn what_was_made_before_the_caller_had_spoken_is_no_answer_to_it() {
    let mut turns = Turns::default();
    let sound = |made: u64, sent: u64| FirstSound { made: at(made), sent: at(sent), heard: at(sent) };
    turns.agent_words("r", &id("a1"), "Shall I cancel it?");
    turns.agent_began(at(100), &id("a1"), Some(sound(90, 100)));
    // Over it they ask something; the sentence has another part, made before.
    turns.caller_began(at(500), &id("u1"));
    turns.caller_stopped(at(1500), &id("u1"), told_at(at(1500)));
    turns.caller_committed(at(1500), &id("u1"));
    turns.agent_words("r", &id("a2"), "It cannot be undone.");
    assert_eq!(turns.agent_began(at(1600), &id("a2"), Some(sound(200, 1600))), None);
    assert_eq!(turns.agent_began(at(1700), &id("a1"), None), None, "nor what began before and goes on");
    turns.agent_words("r2", &id("a3"), "Ten rupees.");
    let latency = turns.agent_began(at(3000), &id("a3"), Some(sound(2900, 3000)));
    assert_eq!(latency.map(|latency| latency.to_sent()), Some(at(1500)));
}

#[test]
fn an_interrupted_turn_ended_when_the_agent_fell_silent() {
    let mut turns = Turns::default();
    turns.agent_words("r", &id("a1"), "one two three four");
    turns.agent_began(at(0), &id("a1"), None);
    turns.agent_holds(at(500));
    turns.heard_part(at(1200), &[cut("a1", 500, 1000)]);
    turns.answers_complete();
    assert_eq!(turns.finished(at(1300), false)[0].ended, at(500));
}

#[test]
fn a_flood_of_turns_takes_nothing_from_what_the_other_says() {
    let mut turns = Turns::default();
    turns.agent_words("r", &id("a1"), "one two");
    turns.agent_began(at(0), &id("a1"), None);
    (0..1000).for_each(|n| turns.caller_began(at(n), &id(&format!("u{n}"))));
    turns.agent_words("r", &id("a1"), " three");
    assert_eq!(&*turns.agent_under_way(), "one two three");
}

#[test]
fn nothing_is_heard_after_the_ear_is_lost() {
    let mut turns = Turns::default();
    turns.agent_words("r", &id("a1"), "one two three four five six seven eight nine ten eleven twelve");
    turns.agent_began(at(0), &id("a1"), None);
    turns.answers_complete();
    turns.ear_lost(at(2000));
    // The call is over later; two seconds, less what the carrier may not have played, and as much again.
    let turn = turns.finished(at(9000), true).remove(0);
    assert_eq!((&*turn.text, turn.interrupted, turn.ended), ("one two three", true, at(2000)));
}
