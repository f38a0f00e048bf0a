//! What the caller says over a read-back: it goes on for sounds and listeners, and ends for words against it.

use super::*;

/// What becomes of the floor while a script is played, and how often an answer is asked for.
fn floor(script: &str) -> (Vec<String>, usize) {
    let (_, _, scene) = played(BargeIn::Normal, script);
    let done = words(&scene.effects);
    let asked = done.iter().filter(|word| *word == "ask").count();
    (done.into_iter().filter(|word| ["hold", "resume", "interrupt"].contains(&&**word)).collect(), asked)
}

/// A name, what is said over the read-back, what becomes of the floor, answers asked for more than without it, how often it is
/// done.
type Row = (&'static str, &'static str, &'static [&'static str], usize, usize);

#[test]
fn a_read_back_goes_on_over_whatever_is_not_against_it() {
    let asked_before = floor("call t1; planned; read; heard").1;
    let table: [Row; 12] = [
        ("a noise", "caller; stops; words ; heard", &["resume"], 0, 0),
        ("a sound nobody makes out", "caller; stops; mumbles; heard", &["resume"], 0, 0),
        ("a listener's word", "caller; stops; words haan; meant; heard", &["resume"], 0, 0),
        ("… and a yes after it", "says haan; heard; says haan", &["resume"], 1, 1),
        ("a question", "says kitna paisa katega; heard", &[], 1, 0),
        ("a yes in so many words", "says haan haan kar do na; heard", &[], 1, 1),
        ("a no", "says nahi nahi; cut 500; made", &["interrupt"], 1, 0),
        ("to wait", "caller; words ruko ek minute; stops; cut 500; made; meant", &["interrupt"], 1, 0),
        ("a word that lasts beyond it", "caller; heard; stops; words haan; meant", &[], 1, 1),
        ("one that began long before its end", "caller; late; heard; stops; words haan; meant", &[], 1, 0),
        ("a question that lasts beyond it", "caller; heard; stops; words kitna paisa katega; meant", &[], 1, 0),
        ("words that come after it", "caller; stops; heard; words kitna paisa katega; meant", &[], 1, 0),
    ];
    for (name, said, expected, answers, runs) in table {
        let script = format!("call t1; planned; read; {said}");
        let (seen, asked) = floor(&script);
        assert_eq!(seen, expected, "{name}");
        assert_eq!(asked - asked_before, answers, "{name}");
        assert_eq!(played(BargeIn::Normal, &format!("{script}; call t2")).0, runs, "{name}");
    }
}

#[test]
fn a_question_is_answered_although_a_listeners_word_follows_it() {
    let mut scene = Scene::new(BargeIn::Normal);
    scene.play("call t1; planned; read");
    let [question, word] = ["u8", "u9"].map(Arc::<str>::from);
    let speaks = |item: &Arc<str>| engine(EngineEvent::SpeechStarted { item: Arc::clone(item), at_ms: 0 });
    let stops = |item: &Arc<str>| {
        let (item, behind) = (Arc::clone(item), CallTime::ZERO);
        engine(EngineEvent::SpeechStopped { item, at_ms: 0, behind })
    };
    let commits = |item: &Arc<str>| engine(EngineEvent::TurnCommitted { item: Arc::clone(item) });
    let words_of = |item: &Arc<str>, text: &str| {
        engine(EngineEvent::CallerTranscript { item: Arc::clone(item), text: text.into() })
    };
    for event in [speaks(&question), stops(&question), commits(&question), speaks(&word)] {
        scene.hear(event);
    }
    scene.hear(words_of(&question, "kitna paisa katega"));
    let asked = |scene: &Scene| words(&scene.effects).iter().filter(|word| *word == "ask").count();
    let before = asked(&scene);
    for event in [stops(&word), commits(&word), words_of(&word, "haan")] {
        scene.hear(event);
    }
    assert_eq!(asked(&scene), before, "not in the middle of the read-back");
    scene.play("heard");
    assert_eq!(asked(&scene), before + 1);
}

#[test]
fn a_yes_in_the_middle_of_a_read_back_waits_for_its_end_and_counts_for_what_was_heard() {
    let done = |script: &str| played(BargeIn::Normal, script).0;
    let before = "call t1; planned; read; key 1; call t2";
    assert_eq!(done(before), 0, "it is not heard to its end");
    assert_eq!(done(&format!("{before}; heard")), 1);
    assert_eq!(done(&format!("{before}; says nahi nahi; cut 100; made")), 0);
}

#[test]
fn second_thoughts_take_a_yes_back() {
    let done = |script: &str| played(BargeIn::Normal, script).0;
    let agreed = "call t1; planned; read; heard; says haan kar do";
    assert_eq!(done(&format!("{agreed}; call t2")), 1);
    for doubt in ["ruko ek minute", "wait wait, hold on, let me think"] {
        assert_eq!(done(&format!("{agreed}; says {doubt}; call t2")), 0, "{doubt}");
    }
    // A no is more than that.
    let refused = played(BargeIn::Normal, &format!("{agreed}; says nahi nahi; call t2")).1;
    assert_eq!(refused[..2], ["proposed", "withdrawn"]);
}

#[test]
fn anything_else_is_given_up_at_the_first_sound() {
    assert_eq!(floor("read You are welcome.; caller").0, ["hold"]);
    assert_eq!(floor("call t1; planned; read; heard; says kitna; read Ten rupees.; caller").0, ["hold"]);
}

#[test]
fn a_yes_to_whether_they_are_there_is_a_yes_to_nothing_else() {
    let mut scene = Scene::new(BargeIn::Normal);
    scene.hear(CallEvent::MediaResumed);
    scene.play("call t1; planned; read; heard");
    let asked = |scene: &Scene| words(&scene.effects).iter().any(|word| word == "say still_there");
    for _ in 0..20 {
        if !asked(&scene) {
            scene.step("late");
        }
    }
    assert!(asked(&scene));
    scene.hear(CallEvent::PlayoutDrained);
    scene.play("says haan; call t2");
    assert_eq!(scene.runs(), 0);
    scene.play("read; heard; says haan; call t3");
    assert_eq!(scene.runs(), 1);
}

#[test]
fn what_is_said_before_anything_of_a_read_back_was_heard_is_no_yes() {
    let mut scene = Scene::new(BargeIn::Normal);
    scene.play("call t1; planned");
    scene.answers += 1;
    let (response, item) = scene.answer();
    scene.hear(created(&response, scene.answers + 1));
    // It begins while they speak, so it is held; its words come later than its sound.
    scene.step("caller");
    scene.hear(began(&item));
    let (response, delta) = (response.into(), "Shall I cancel order 1042? ".into());
    scene.hear(engine(EngineEvent::AgentWords { response, item, delta }));
    scene.step("stops");
    let again: Arc<str> = "u9".into();
    scene.hear(engine(EngineEvent::SpeechStarted { item: Arc::clone(&again), at_ms: 0 }));
    scene.hear(engine(EngineEvent::SpeechStopped { item: Arc::clone(&again), at_ms: 0, behind: CallTime::ZERO }));
    scene.hear(engine(EngineEvent::TurnCommitted { item: Arc::clone(&again) }));
    scene.hear(engine(EngineEvent::CallerTranscript { item: again, text: "haan kar do".into() }));
    scene.play("meant; call t2");
    assert_eq!(scene.runs(), 0);
}

#[test]
fn a_yes_on_another_socket_is_none_to_what_the_one_before_may_have_swallowed() {
    let mut scene = Scene::new(BargeIn::Normal);
    scene.play("call t1; planned; read; heard");
    scene.hear(CallEvent::StreamStarted { rate: 8000 });
    scene.play("says haan; call t2");
    assert_eq!(scene.runs(), 0);
    scene.play("read; heard; says haan; call t3");
    assert_eq!(scene.runs(), 1);
}

#[test]
fn an_objection_is_a_no_or_an_order_to_wait_in_either_script() {
    for text in [
        "nahi",
        "नहीं नहीं",
        "Ruko ruko!",
        "रुकिए ज़रा",
        "ek minute",
        "No, that's wrong.",
        "suniye",
        "mat karo",
        "hold on",
        "rehne dijiye",
        "chhod do",
        "छोड़ दो",
        "don't",
    ] {
        assert!(crate::understand::objects(text), "{text}");
    }
    for text in [
        "haan",
        "ji theek hai",
        "kitna paisa katega",
        "paanch baje",
        "हाँ जी",
        "okay",
        "I know it",
        "notice",
        "kal minute book",
    ] {
        assert!(!crate::understand::objects(text), "{text}");
    }
}

#[test]
fn a_read_back_that_nobody_wants_any_more_is_none_though_its_first_sound_was_on_its_way() {
    let mut scene = Scene::new(BargeIn::Normal);
    scene.play("call t1; planned");
    // Its answer is asked for when the caller interrupts a sentence that bridges the wait.
    scene.hear(began("phrase:checking"));
    scene.play("says suniye ek baat");
    scene.hear(CallEvent::PlayoutCut(vec![]));
    scene.answers += 1;
    let (response, item) = scene.answer();
    scene.hear(created(&response, scene.answers + 1));
    let delta = "Shall I cancel order 1042? ".into();
    scene.hear(engine(EngineEvent::AgentWords { response: response.into(), item: Arc::clone(&item), delta }));
    scene.hear(began(&item));
    scene.play("says haan kar do; call t2");
    assert_eq!(scene.runs(), 0);
}

#[test]
fn a_key_is_a_yes_to_what_was_read_back_before_it_was_pressed_and_cuts_nothing_of_it() {
    let pressed = |before: &str, after: &str| {
        let mut scene = Scene::new(BargeIn::Normal);
        scene.play(before);
        scene.hear(CallEvent::DtmfPressed('1'));
        scene.play(after);
        scene
    };
    // It is waited whether more keys follow.
    let early = pressed("call t1; planned", "read; late; heard; call t2");
    assert_eq!(early.runs(), 0, "it was pressed before");
    let amid = pressed("call t1; planned; read", "late");
    let cuts = |effect: &&Effect| matches!(effect, Effect::Media(MediaWish::Interrupt { .. }));
    assert_eq!(amid.effects.iter().filter(cuts).count(), 0, "it is heard to its end");
}
