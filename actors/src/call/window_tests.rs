//! How tokens are reckoned and which items make way, as tables.

use super::*;

fn at(seconds: u64) -> CallTime {
    CallTime::from_secs(seconds)
}

fn id(text: &str) -> Arc<str> {
    text.into()
}

/// A session with these items, a second apart: `u` the caller's, `a` the agent's, `c` and `o` a tool call and its output.
fn with(items: &[&str]) -> Window {
    let mut window = Window::default();
    for (n, item) in items.iter().enumerate() {
        let kind = match item.as_bytes()[0] {
            b'u' => ItemKind::Caller,
            b'a' => ItemKind::Agent,
            b'c' => ItemKind::ToolCall(id(&item[1..])),
            b'o' => ItemKind::ToolOutput(id(&item[1..])),
            _ => ItemKind::Other,
        };
        window.added(&id(item), kind, None, false, at(n as u64));
    }
    window
}

fn marked(window: &Window, keep: u32) -> Option<String> {
    window.mark(keep, None, &[]).and_then(|mark| mark.item).map(|item| item.to_string())
}

#[test]
fn the_last_turns_stay_and_no_less_than_two_make_way() {
    let long = with(&["u1", "a1", "u2", "a2", "u3", "a3", "u4", "a4", "u5", "a5"]);
    for (keep, mark) in [(1, "u5"), (2, "u4"), (3, "u3"), (6, "u3"), (50, "u3")] {
        assert_eq!(marked(&long, keep).as_deref(), Some(mark), "keep {keep}");
    }
    for (short, mark) in
        [(&["n", "a0"][..], None), (&["u1"], None), (&["u1", "u2"], None), (&["u1", "u2", "u3"], Some("u3"))]
    {
        assert_eq!(marked(&with(short), 6).as_deref(), mark, "{short:?}");
    }
}

#[test]
fn nothing_that_was_asked_for_since_something_is_unsettled_makes_way() {
    let window = with(&["u0", "u1", "u2", "c1", "u4", "u5"]);
    let mark = |since| window.mark(1, since, &[]).and_then(|mark| mark.item).map(|item| item.to_string());
    assert_eq!(mark(None).as_deref(), Some("u5"));
    assert_eq!(mark(Some(at(3))).as_deref(), Some("u2"));
    assert_eq!(mark(Some(at(1))), None);
}

#[test]
fn what_is_being_said_does_not_make_way() {
    let window = with(&["u0", "u1", "u2", "a3", "u4", "u5"]);
    for (playing, mark) in [("a3", Some("u2")), ("a9", Some("u5")), ("u0", None)] {
        let mark_of = window.mark(1, None, &[&id(playing)]).and_then(|mark| mark.item);
        assert_eq!(mark_of.as_deref(), mark, "{playing}");
    }
}

#[test]
fn a_tool_call_never_goes_without_its_output() {
    let window = with(&["u0", "c1", "u2", "o1", "u4", "c2", "o2"]);
    let mark = Mark { item: Some(id("u2")), said: at(2), added: at(2) };
    assert_eq!(window.before(&mark), ["u0", "c1", "o1"].map(id));
    assert_eq!(window.before(&Mark { item: Some(id("gone")), ..mark }), Vec::<Arc<str>>::new());
}

#[test]
fn a_tool_call_that_was_complete_only_after_the_mark_stays_with_its_output() {
    let mut window = with(&["u0", "c1", "c2", "u3", "o1", "o2"]);
    window.called(&id("1"), at(9));
    window.called(&id("2"), at(2));
    let mark = Mark { item: Some(id("u3")), said: at(3), added: at(3) };
    assert_eq!(window.before(&mark), ["u0", "c2", "o2"].map(id));
    window.called(&id("7"), at(9));
}

#[test]
fn of_a_great_many_items_some_go_at_a_time() {
    let names: Vec<String> = (0..900).map(|n| format!("u{n}")).collect();
    let mut window = with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mark = window.mark(5, None, &[]).expect("a mark");
    assert_eq!(mark.item, Some(id("u895")));
    let going = window.before(&mark);
    assert_eq!((going.len(), &*going[0]), (DELETED_MAX, "u0"));
    for item in going {
        window.told(&EngineCommand::DeleteItem { item });
    }
    assert_eq!(&*window.before(&mark)[0], format!("u{DELETED_MAX}"));
    assert!(window.is_known());
    for n in 0..ITEMS_MAX {
        window.added(&id(&format!("x{n}")), ItemKind::Other, None, false, at(9));
    }
    assert!(!window.is_known(), "more than can be known");
}

#[test]
fn tokens_are_what_the_engine_told_and_since_then_what_is_reckoned() {
    let mut window = Window::default();
    window.opened(100, &[(at(1), ContextItem::Caller("12345678".into()))], at(2));
    assert_eq!(window.tokens(), 102);
    window.caller_began(&id("u1"), 1_000, at(2));
    window.caller_stopped(3_050);
    assert_eq!(window.tokens(), 102 + 21);
    window.told(&EngineCommand::Note("abcdefgh".into()));
    window.told(&EngineCommand::ToolOutput { tool_call: id("c"), output: "abcd".into() });
    window.agent_said("ten lette!");
    assert_eq!(window.tokens(), 102 + 21 + 2 + 1 + 17);
    window.answered(&Usage::default());
    assert_eq!(window.tokens(), 143, "an answer that tells nothing changes nothing");
    window.answered(&Usage {
        text_in: 200,
        text_cached: 150,
        audio_in: 50,
        text_out: 5,
        audio_out: 20,
        ..Usage::default()
    });
    assert_eq!(window.tokens(), 275);
}

#[test]
fn what_a_session_was_told_takes_less_than_what_it_heard() {
    let mut window = Window::default();
    window.opened(0, &[], at(10));
    let [caller, agent] = [ContextItem::Caller("x".repeat(100).into()), ContextItem::Agent("x".repeat(100).into())];
    for (item, told, heard) in [(&caller, 25, 85), (&agent, 25, 170)] {
        assert_eq!((window.tokens_of(at(9), item), window.tokens_of(at(10), item)), (told, heard));
    }
    assert_eq!(window.tokens_of(at(11), &ContextItem::Note("x".repeat(100).into())), 25);
}

#[test]
fn items_of_the_context_were_said_when_it_says_and_the_first_goes_first() {
    let mut window = Window::default();
    let said = |at: CallTime| (at, ContextItem::Caller("x".into()));
    window.opened(0, &[said(at(5)), said(at(7)), said(at(9))], at(90));
    for n in 0..3 {
        window.added(&id(&format!("u{n}")), ItemKind::Caller, Some(n), false, at(100));
    }
    // A mark of a former session is found by its time.
    assert_eq!(window.before(&Mark { item: None, said: at(6), added: at(6) }), ["u0"].map(id));
    assert_eq!(window.before(&Mark { item: None, said: at(200), added: at(200) }), Vec::<Arc<str>>::new());
    window.added(&id("earlier"), ItemKind::Other, None, true, at(101));
    window.added(&id("u2"), ItemKind::Caller, Some(2), false, at(102));
    assert_eq!(window.mark(1, None, &[]).map(|mark| (mark.said, mark.added)), Some((at(9), at(9))));
    assert_eq!(window.before(&Mark { item: Some(id("u1")), ..Mark::default() }), ["earlier", "u0"].map(id));
}

#[test]
fn words_told_anew_that_made_way_at_once_do_not_come_back_with_the_sessions_word_of_them() {
    let mut window = Window::default();
    window.opened(0, &[(at(5), ContextItem::Agent("one two".into()))], at(90));
    window.added(&id("replayed 0"), ItemKind::Agent, Some(0), false, at(100));
    let told = window.heard_only(at(5), &"one".into());
    let Some(EngineCommand::AgentSaid { item, .. }) = told.last() else { panic!("{told:?}") };
    window.told(&EngineCommand::DeleteItem { item: Arc::clone(item) });
    window.added(item, ItemKind::Agent, None, false, at(101));
    window.added(&id("u1"), ItemKind::Caller, None, false, at(102));
    assert_eq!(window.before(&Mark { item: Some(id("u1")), ..Mark::default() }), Vec::<Arc<str>>::new());
}
