//! What the caller does: a script of steps, and the director that plays it against what is heard.

use std::time::Duration;

use serde::Deserialize;

use super::ear::Utterance;
use crate::sim::library::{library, sandbox_file, scenario_names};

/// How long a step waits for the other side unless it says otherwise.
const PATIENCE: Duration = Duration::from_secs(15);

/// A caller's script.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Short name, as on the command line.
    pub name: String,
    /// What it shows, in a sentence.
    pub title: String,
    /// `transferred`, `agent_hung_up`, `caller_hung_up`, `not_dialled`; absent: any orderly end.
    pub expect: Option<String>,
    /// The call fails past this.
    #[serde(default = "a_minute")]
    pub max_seconds: u64,
    /// In order.
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
}

fn a_minute() -> u64 {
    60
}

/// One step; `say` may be combined with `interrupt_after_ms`, everything with `timeout_ms`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Wait until the agent has said something: `any`, or a clip (also its variants `<clip>_…`).
    pub hear: Option<String>,
    /// Speak a clip.
    pub say: Option<String>,
    /// Wait this long.
    pub wait_ms: Option<u64>,
    /// Press one key.
    pub press: Option<String>,
    /// Speak this long after the agent has begun, whether it is done or not.
    pub interrupt_after_ms: Option<u64>,
    /// Wait until the agent has been quiet for so long.
    pub agent_silence_ms: Option<u64>,
    /// Hang up.
    #[serde(default)]
    pub hang_up: bool,
    /// Wait until the agent's side ends the stream.
    #[serde(default)]
    pub wait_end: bool,
    /// The line is cut: no `stop`, no close frame.
    #[serde(default)]
    pub cut: bool,
    /// Instead of 15 s.
    pub timeout_ms: Option<u64>,
}

impl Scenario {
    /// Reads a scenario and checks that its clips exist.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let scenario: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        let unknown = |name: &&String| library().get(name).is_none();
        if let Some(name) = scenario.steps.iter().filter_map(|step| step.say.as_ref()).find(unknown) {
            let known: Vec<&str> = library().iter().map(|clip| clip.name.as_str()).collect();
            return Err(format!("no clip named '{name}'; there are: {}", known.join(", ")));
        }
        Ok(scenario)
    }

    /// A file's scenario, or one of those inside the binary by its name.
    ///
    /// # Errors
    /// Neither exists, or it cannot be read.
    pub fn load(name: &str) -> Result<Self, String> {
        let text = match std::fs::read_to_string(name) {
            Ok(text) => text,
            Err(error) => {
                let built_in = name.strip_suffix(".toml").unwrap_or(name);
                let built_in = built_in.rsplit('/').next().unwrap_or(built_in);
                sandbox_file(&format!("scenarios/{built_in}.toml")).ok_or_else(|| {
                    format!("no scenario '{name}' ({error}); inside the binary: {}", scenario_names().join(", "))
                })?
            }
        };
        Self::parse(&text).map_err(|problem| format!("scenario {name}: {problem}"))
    }
}

/// What the caller sees when deciding.
pub(crate) struct View<'a> {
    pub(crate) now: Duration,
    /// The agent's utterances so far.
    pub(crate) utterances: &'a [Utterance],
    /// When the running one began.
    pub(crate) agent_since: Option<Duration>,
    /// The caller's own clip is still playing.
    pub(crate) caller_speaking: bool,
}

/// What the caller does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Act {
    Say(String),
    Press(String),
    HangUp,
    Cut,
    /// Gives up: the sentence says why.
    Fail(String),
}

/// Plays the steps.
pub(crate) struct Director {
    steps: Vec<Step>,
    at: usize,
    entered: Option<Duration>,
    /// Utterances that earlier steps dealt with.
    consumed: usize,
    spoke: bool,
    over: bool,
}

impl Director {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Self { steps: scenario.steps.clone(), at: 0, entered: None, consumed: 0, spoke: false, over: false }
    }

    fn next(&mut self) {
        self.at += 1;
        self.entered = None;
        self.spoke = false;
    }

    fn end(&mut self, act: Act) -> Option<Act> {
        self.over = true;
        Some(act)
    }

    /// What to do now, if anything. Steps that are done at once are passed in one go.
    pub(crate) fn poll(&mut self, view: &View<'_>) -> Option<Act> {
        while !self.over {
            let Some(step) = self.steps.get(self.at).cloned() else { return self.end(Act::HangUp) };
            let entered = *self.entered.get_or_insert(view.now);
            let waited = view.now.saturating_sub(entered);
            if step.hang_up {
                return self.end(Act::HangUp);
            }
            if step.cut {
                return self.end(Act::Cut);
            }
            let done = if let Some(key) = step.press {
                self.next();
                return Some(Act::Press(key));
            } else if let Some(clip) = &step.say {
                match self.say(clip, step.interrupt_after_ms, view) {
                    Said::Now(act) => return Some(act),
                    Said::Done => true,
                    Said::NotYet => false,
                }
            } else if let Some(wanted) = &step.hear {
                match self.hear(wanted, view) {
                    Ok(done) => done,
                    Err(problem) => return self.end(Act::Fail(problem)),
                }
            } else if let Some(ms) = step.agent_silence_ms {
                let quiet = view.utterances.last().map_or(view.now, |last| view.now.saturating_sub(last.end));
                view.agent_since.is_none() && quiet >= Duration::from_millis(ms)
            } else if let Some(ms) = step.wait_ms {
                waited >= Duration::from_millis(ms)
            } else {
                false
            };
            if done {
                self.next();
                continue;
            }
            let patience = step.timeout_ms.map_or(PATIENCE, Duration::from_millis);
            if step.wait_ms.is_none() && !view.caller_speaking && waited >= patience {
                return self.end(Act::Fail(self.impatience(waited)));
            }
            return None;
        }
        None
    }

    fn impatience(&self, waited: Duration) -> String {
        let step = &self.steps[self.at];
        let what = match (&step.hear, step.interrupt_after_ms, step.wait_end) {
            (Some(wanted), ..) => format!("for the agent to say '{wanted}'"),
            (_, Some(_), _) => "for the agent to begin speaking".to_owned(),
            (.., true) => "for the agent's side to end the stream".to_owned(),
            _ => "for silence".to_owned(),
        };
        format!("step {}: waited {:.1} s {what}", self.at + 1, waited.as_secs_f64())
    }

    fn say(&mut self, clip: &str, after_ms: Option<u64>, view: &View<'_>) -> Said {
        if self.spoke {
            return if view.caller_speaking { Said::NotYet } else { Said::Done };
        }
        if let Some(after) = after_ms {
            let ready = view.agent_since.is_some_and(|since| view.now >= since + Duration::from_millis(after));
            if !ready {
                return Said::NotYet;
            }
        }
        self.spoke = true;
        // What the agent is saying right now was said before this turn.
        self.consumed = view.utterances.len() + usize::from(view.agent_since.is_some());
        Said::Now(Act::Say(clip.to_owned()))
    }

    fn hear(&mut self, wanted: &str, view: &View<'_>) -> Result<bool, String> {
        if view.utterances.len() <= self.consumed || view.agent_since.is_some() {
            return Ok(false);
        }
        let fresh = &view.utterances[self.consumed..];
        self.consumed = view.utterances.len();
        let names: Vec<&str> = fresh.iter().flat_map(|said| &said.clips).map(String::as_str).collect();
        let fits = |name: &&str| *name == wanted || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('_'));
        // Speech that is no clip may well be right: another engine than the sandbox's is speaking.
        if wanted == "any" || names.is_empty() || names.iter().any(fits) {
            return Ok(true);
        }
        Err(format!("step {}: expected '{wanted}', heard '{}'", self.at + 1, names.join("', '")))
    }
}

enum Said {
    Now(Act),
    Done,
    NotYet,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn view(now: u64, utterances: &[Utterance], agent_since: Option<u64>, caller_speaking: bool) -> View<'_> {
        View { now: MS(now), utterances, agent_since: agent_since.map(MS), caller_speaking }
    }

    fn said(clip: &str) -> Utterance {
        Utterance { start: MS(0), end: MS(900), clips: vec![clip.to_owned()], words: String::new() }
    }

    fn director(steps: &str) -> Director {
        let text = format!("name = \"t\"\ntitle = \"t\"\n{steps}");
        Director::new(&Scenario::parse(&text).unwrap())
    }

    #[test]
    fn an_interruption_waits_for_the_agent_and_then_for_its_time() {
        let mut director = director(
            "[[step]]\ninterrupt_after_ms = 600\nsay = \"want_human\"\n[[step]]\nhear = \"transfer_start\"\n[[step]]\nhang_up = true",
        );
        assert_eq!(director.poll(&view(0, &[], None, false)), None);
        assert_eq!(director.poll(&view(1599, &[], Some(1000), false)), None);
        assert_eq!(director.poll(&view(1600, &[], Some(1000), false)), Some(Act::Say("want_human".into())));
        assert_eq!(director.poll(&view(2000, &[], None, true)), None);
        // The sentence that was cut off does not count as the answer.
        let cut = [said("order_long")];
        assert_eq!(director.poll(&view(4000, &cut, None, false)), None);
        let both = [said("order_long"), said("transfer_start")];
        assert_eq!(director.poll(&view(5000, &both, None, false)), Some(Act::HangUp));
    }

    #[test]
    fn hearing_something_else_or_nothing_fails_the_call() {
        let mut wrong = director("[[step]]\nhear = \"greeting\"");
        assert!(matches!(wrong.poll(&view(10, &[said("unclear")], None, false)), Some(Act::Fail(_))));
        let mut nothing = director("[[step]]\nhear = \"greeting\"");
        assert_eq!(nothing.poll(&view(0, &[], None, false)), None);
        assert!(matches!(nothing.poll(&view(15_000, &[], None, false)), Some(Act::Fail(_))));
    }

    #[test]
    fn a_variant_of_the_expected_clip_is_as_good() {
        let mut director = director("[[step]]\nhear = \"greeting\"");
        assert_eq!(director.poll(&view(0, &[said("greeting_english")], None, false)), Some(Act::HangUp));
    }

    #[test]
    fn every_scenario_in_the_binary_can_be_read() {
        let names = scenario_names();
        assert!(names.contains(&"demo".to_owned()) && names.contains(&"short".to_owned()));
        for name in names {
            assert_eq!(Scenario::load(&name).unwrap().name, name);
        }
    }
}
