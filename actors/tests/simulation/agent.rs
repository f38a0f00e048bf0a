//! Whom the simulated callers reach, what they say, and what can be done for them.

use caly_actors::domain::*;
use caly_actors::ports::*;

use super::dice::Dice;
use super::support::*;
use super::{CALL_MAX, SECOND};

pub fn agent_of(dice: &mut Dice) -> Agent {
    let mut agent = agent();
    agent.barge_in = [BargeIn::Off, BargeIn::Cautious, BargeIn::Normal, BargeIn::Eager][dice.between(0, 3) as usize];
    agent.local_detection = dice.percent(50);
    agent.limits.max_duration = CALL_MAX;
    agent.limits.idle_speech = dice.ms(15_000, 60_000);
    agent.limits.session_age = dice.ms(5_000, 60_000);
    agent.menu = vec![("0".into(), MenuChoice::Person), ("1".into(), MenuChoice::Tell("order".into()))];
    if dice.percent(30) {
        agent.handoff_numbers.clear();
    }
    if dice.percent(20) {
        agent.policies = Policies {
            person: PersonPolicy::Engine,
            wrong_number: WrongNumberPolicy::Engine,
            do_not_call: DoNotCallPolicy::Engine,
            abuse: [AbusePolicy::End, AbusePolicy::Engine][dice.between(0, 1) as usize],
        };
    }
    if dice.percent(20) {
        agent.limits.hello = dice.ms(500, 15_000);
    }
    agent
}

/// What callers say, and what asks something of the call itself.
pub const WORDS: [&str; 6] = ["haan", "haan", "nahi ruko", "mera order kahan hai", "theek hai", ""];
pub const WISHES: [&str; 6] = [
    "kisi insaan se baat karao",
    "mujhe kisi insaan se baat karni hai",
    "kisi se baat nahi karni",
    "dobara call mat karna",
    "wrong number",
    "chutiya",
];

/// Actions that read, that write, and that take their time.
pub fn actions() -> TestActions {
    let entry = |name, writes, doing: Doing| (name, writes, SECOND * 20, doing);
    TestActions {
        entries: vec![
            entry("look", false, |_| done(r#"{"ok":true}"#, None)),
            entry("book", true, |attempt| match attempt {
                1 => Box::pin(async { Err(ActionError::Unavailable("busy".into())) }),
                // Long enough for the caller to ask for something else meanwhile.
                _ => Box::pin(async {
                    tokio::time::sleep(SECOND * 3).await;
                    Ok(ActionOutput { output: r#"{"booked":true}"#.into(), change: None, undo: None })
                }),
            }),
            entry("confirmed", true, |_| done(r#"{"cancelled":true}"#, None)),
            entry("slow", false, |_| {
                Box::pin(async {
                    tokio::time::sleep(SECOND * 7).await;
                    Ok(ActionOutput { output: r#"{"late":true}"#.into(), change: None, undo: None })
                })
            }),
        ],
        ..TestActions::default()
    }
}
