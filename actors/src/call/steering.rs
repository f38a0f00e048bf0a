//! What the call does by itself about what the caller asks of it, when the engine does not: a wish for a person is obeyed, a
//! number that is not to be rung is put on record, a wrong number and abuse end the call, as the agent's policies say.
//!
//! The engine has the first word: for a moment, or until it has answered, it may do what is asked. Nothing is done while a
//! write runs, once the end is decided, or twice.

use std::sync::Arc;

use serde_json::json;

use super::ending::LastWords;
use super::event::Effect;
use super::responses::Wanted;
use super::state::{CallState, EngineStage, Phase};
use super::timers::Timer;
use crate::domain::{
    AbusePolicy, AfterStream, CallTime, DoNotCallPolicy, EndReason, IntentKind, PersonPolicy, Phrase, Policies,
    Understanding, Wish, WrongNumberPolicy,
};
use crate::ports::{EngineCommand, JournalEntry};

/// So sure, a call acts on a wish by itself. Of turns in wordings that training never saw (`make eval`), 98 of 100 taken for a
/// wish for a person with this confidence are one, and 99 of 100 for the other two; of 10,000 that ask nothing of the kind,
/// three are taken for it. Surer, each would be right once more in 200 times and miss every twentieth wish more.
const SURE: f32 = 0.7;
/// So sure it must be of a wish for a person that is said twice in a row: 97 of 100 are one, each by itself.
const PERHAPS: f32 = 0.5;
/// From the words of a wish until the call acts, if the engine says and does nothing.
const GRACE: CallTime = CallTime::from_millis(2_500);
/// … and if it goes on speaking or doing something else.
const PATIENCE: CallTime = CallTime::from_secs(10);
/// Turns of the caller that are the beginning of a call: a hello, and what they ring for.
const BEGINNING: u32 = 2;
/// How often the engine is told in one call to offer a call-back.
const OFFERS_MAX: u32 = 2;

/// What a turn was taken to mean, as far as it steers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Said {
    /// What it asks of the call.
    pub wish: Option<Wish>,
    /// 0.0 to 1.0: of the intent behind it.
    pub confidence: f32,
    /// It abuses whoever listens.
    pub abusive: bool,
    /// It says goodbye.
    pub goodbye: bool,
}

impl From<&Understanding> for Said {
    fn from(meant: &Understanding) -> Self {
        let goodbye = meant.intent == IntentKind::Goodbye;
        Self { wish: meant.wish, confidence: meant.confidence, abusive: meant.abusive, goodbye }
    }
}

/// What the call is doing: of several the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doing {
    /// Its end is decided, or it has not begun.
    Ending,
    /// The engine hands it over, or ends it.
    Leaving,
    /// Something that writes runs.
    Writing,
    /// Something else is being looked up or planned.
    Acting,
    /// The engine answers, or is about to.
    Answering,
    /// The caller speaks, or what they said is not understood yet.
    Listening,
    /// None of those.
    Quiet,
}

/// What the client has laid down, and what there is to do it with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Means {
    /// The agent's policies.
    pub policies: Policies,
    /// There is somebody to hand over to.
    pub people: bool,
}

/// Why the call is to be closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// A person is wanted.
    Person,
    /// The number was wrong.
    WrongNumber,
    /// Abuse goes on.
    Abuse,
}

/// What is done at once about a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The engine is told that nobody can be reached; `again`: it has to say so.
    OfferCallback {
        /// The caller had to ask twice.
        again: bool,
    },
    /// The caller's number goes on record as one not to be rung.
    Suppress,
    /// The engine is told to warn the caller.
    Warn,
}

/// What becomes of what waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Nothing waits.
    Nothing,
    /// Not yet; to be looked at again then, or when something has happened.
    Wait(Option<CallTime>),
    /// Close the call.
    Close(Pending),
}

/// The call is to be closed, unless the engine does it first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pending {
    /// Why.
    pub cause: Cause,
    /// When it was understood.
    since: CallTime,
    /// The engine has had its chance before.
    at_once: bool,
    /// The engine was seen to answer since.
    answered: bool,
}

impl Pending {
    /// For the journal.
    fn why(self) -> &'static str {
        match self {
            Self { at_once: true, .. } => "said again",
            Self { answered: true, .. } => "the engine answered without it",
            _ => "the engine did nothing",
        }
    }
}

/// What is remembered of a call to steer it.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Steering {
    turns: u32,
    /// The caller's turn before asked for a person, surely or perhaps.
    person_before: bool,
    offers: u32,
    wrong_numbers: u32,
    abuses: u32,
    suppressed: bool,
    pending: Option<Pending>,
}

impl Steering {
    /// The caller said something. Gives what is to be done at once; see [`Steering::due`] for the rest.
    pub fn hear(&mut self, said: Said, means: Means, doing: Doing, now: CallTime) -> Vec<Step> {
        let mut steps = Vec::new();
        let records = means.policies.do_not_call == DoNotCallPolicy::Record && !self.suppressed;
        // Also when it is the last thing they say.
        if said.wish == Some(Wish::NoCalls) && said.confidence >= SURE && records {
            self.suppressed = true;
            steps.push(Step::Suppress);
        }
        if doing == Doing::Ending {
            return steps;
        }
        self.turns += 1;
        self.reconsider(said);
        if means.policies.person == PersonPolicy::Obey {
            steps.extend(self.hear_person(said, means.people, now));
        }
        if means.policies.wrong_number == WrongNumberPolicy::End {
            self.hear_wrong_number(said, doing, now);
        }
        steps.extend(self.hear_abuse(said, means.policies.abuse, now));
        steps
    }

    /// Second thoughts: who says to leave it wants no person after all, and who goes on talking has not dialled wrong.
    fn reconsider(&mut self, said: Said) {
        let stands = match self.pending.map(|pending| pending.cause) {
            Some(Cause::Person) => {
                said.wish == Some(Wish::Person) || !(said.goodbye || said.wish == Some(Wish::LeaveIt))
            }
            Some(Cause::WrongNumber) => said.wish == Some(Wish::WrongNumber),
            Some(Cause::Abuse) | None => true,
        };
        if !stands {
            self.pending = None;
        }
    }

    fn hear_person(&mut self, said: Said, people: bool, now: CallTime) -> Option<Step> {
        let perhaps = said.wish == Some(Wish::Person) && said.confidence >= PERHAPS;
        let again = std::mem::replace(&mut self.person_before, perhaps) || self.owes_person();
        if !perhaps || !(again || said.confidence >= SURE) {
            return None;
        }
        if people {
            self.wait_for_engine(Cause::Person, again, now);
            return None;
        }
        let offers = (self.offers == 0 || again) && self.offers < OFFERS_MAX;
        self.offers += u32::from(offers);
        offers.then_some(Step::OfferCallback { again })
    }

    fn hear_wrong_number(&mut self, said: Said, doing: Doing, now: CallTime) {
        if said.wish != Some(Wish::WrongNumber) || said.confidence < SURE {
            return;
        }
        self.wrong_numbers += 1;
        let again = self.wrong_numbers > 1;
        let busy = matches!(doing, Doing::Leaving | Doing::Writing | Doing::Acting);
        if (again || self.turns <= BEGINNING) && !busy {
            self.wait_for_engine(Cause::WrongNumber, again, now);
        }
    }

    /// Who swears at a machine and wants a person gets the person.
    fn hear_abuse(&mut self, said: Said, policy: AbusePolicy, now: CallTime) -> Option<Step> {
        if !said.abusive || policy == AbusePolicy::Engine {
            return None;
        }
        self.abuses += 1;
        if self.owes_person() {
            return None;
        }
        if policy == AbusePolicy::Warn && self.abuses == 1 {
            return Some(Step::Warn);
        }
        self.wait_for_engine(Cause::Abuse, true, now);
        None
    }

    /// What was wanted first is not put off by being said again.
    fn wait_for_engine(&mut self, cause: Cause, at_once: bool, now: CallTime) {
        let before = self.pending.filter(|pending| pending.cause == cause);
        let since = before.map_or(now, |pending| pending.since);
        self.pending = Some(Pending { cause, since, at_once, answered: false });
    }

    /// A person is wanted, and the engine has not handed over yet.
    #[must_use]
    pub fn owes_person(&self) -> bool {
        self.pending.is_some_and(|pending| pending.cause == Cause::Person)
    }

    /// What becomes of what waits, while the call is doing this.
    pub fn due(&mut self, doing: Doing, now: CallTime) -> Due {
        let Some(pending) = &mut self.pending else { return Due::Nothing };
        pending.answered |= doing == Doing::Answering;
        let (grace, patience) = (pending.since + GRACE, pending.since + PATIENCE);
        let acting = matches!(doing, Doing::Leaving | Doing::Writing | Doing::Acting);
        match doing {
            Doing::Ending => self.pending = None,
            // Who has something done here has not dialled wrong.
            _ if acting && pending.cause == Cause::WrongNumber => self.pending = None,
            Doing::Leaving | Doing::Writing => return Due::Wait(None),
            _ if pending.at_once => return Due::Close(*pending),
            Doing::Acting | Doing::Answering | Doing::Listening if now < patience => return Due::Wait(Some(patience)),
            Doing::Quiet if !pending.answered && now < grace => return Due::Wait(Some(grace)),
            Doing::Acting | Doing::Answering | Doing::Listening | Doing::Quiet => return Due::Close(*pending),
        }
        Due::Nothing
    }
}

impl CallState {
    fn doing(&self) -> Doing {
        let running = |named: &dyn Fn(&str) -> bool| self.ledger.running().any(|entry| named(&entry.action.name));
        let writes = self.ledger.running().any(|entry| entry.spec.writes);
        let acts = self.ledger.running().chain(self.ledger.planning()).next().is_some();
        let says = self.playing && !self.playing_phrase;
        if self.phase != Phase::Live {
            Doing::Ending
        } else if running(&|name| matches!(name, "transfer_to_human" | "end_call")) {
            Doing::Leaving
        } else if writes {
            Doing::Writing
        } else if acts {
            Doing::Acting
        } else if self.engine == EngineStage::Ready && (says || self.unheard_words || self.awaits()) {
            Doing::Answering
        } else if self.playing || self.caller_speaking || self.answer_pending().is_some() {
            Doing::Listening
        } else {
            Doing::Quiet
        }
    }

    /// What the caller said may ask something of the call itself.
    pub(super) fn steer_by(&mut self, said: Said, now: CallTime, out: &mut Vec<Effect>) {
        let agent = &self.facts.agent;
        let means = Means { policies: agent.policies, people: !agent.handoff_numbers.is_empty() };
        for step in self.steering.hear(said, means, self.doing(), now) {
            match step {
                Step::OfferCallback { again } => self.offer_callback(again, now, out),
                Step::Suppress => self.suppress(now, out),
                Step::Warn => {
                    self.steered("abuse", "warned", "said once", now, out);
                    self.tell(ABUSED, now, out);
                }
            }
        }
    }

    /// Looked at after every event: the engine may have had its chance.
    pub(super) fn steer(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        match self.steering.due(self.doing(), now) {
            Due::Nothing | Due::Wait(None) => self.timers.clear(Timer::Steering),
            Due::Wait(Some(at)) => self.timers.set(Timer::Steering, at),
            Due::Close(pending) => self.close_for(pending, now, out),
        }
    }

    /// The engine ends the call although a person is wanted.
    pub(super) fn steer_away(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        self.steered("person", "handed_over", "the engine said goodbye", now, out);
        self.hand_over(WANTED, now, out);
    }

    fn close_for(&mut self, pending: Pending, now: CallTime, out: &mut Vec<Effect>) {
        let end = |state: &mut Self, phrase, out: &mut Vec<Effect>| {
            let words = LastWords::Stored(phrase);
            state.close(EndReason::AgentEnded, AfterStream::HangUp, "", words, now, out);
        };
        match pending.cause {
            Cause::Person => self.steered("person", "handed_over", pending.why(), now, out),
            Cause::WrongNumber => self.steered("wrong_number", "ended", pending.why(), now, out),
            Cause::Abuse => self.steered("abuse", "ended", "said again", now, out),
        }
        match pending.cause {
            Cause::Person => self.hand_over(WANTED, now, out),
            Cause::WrongNumber => end(self, Phrase::WrongNumber, out),
            Cause::Abuse => end(self, Phrase::Enough, out),
        }
    }

    /// Nobody can be reached. The engine's own answer to a first wish is under way already, and comes to it when it can.
    fn offer_callback(&mut self, again: bool, now: CallTime, out: &mut Vec<Effect>) {
        let why = if again { "said again" } else { "nobody can be reached" };
        self.steered("person", "offered_callback", why, now, out);
        let can_note = self.catalogue.iter().any(|spec| spec.offered && &*spec.tool.name == "request_callback");
        self.tell(if can_note { OFFER } else { NOBODY }, now, out);
        if again {
            self.want(Wanted::default().told(), now, out);
        }
    }

    fn suppress(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let (call, client) = (self.facts.call, self.facts.client);
        let Some(number) = self.facts.caller.number().cloned() else {
            self.steered("do_not_call", "not_recorded", "the number is withheld", now, out);
            self.tell(NOT_SUPPRESSED, now, out);
            return;
        };
        out.push(Effect::Record(JournalEntry::DoNotCall { call, client, number }));
        self.steered("do_not_call", "recorded", "said so", now, out);
        self.tell(SUPPRESSED, now, out);
    }

    /// A note to the session that listens, or to the next one; and to those after it.
    pub(super) fn tell(&mut self, note: &str, now: CallTime, out: &mut Vec<Effect>) {
        let note: Arc<str> = note.into();
        self.turns.noted(now, &note);
        match (self.engine, &self.phase) {
            (EngineStage::Ready, Phase::Live) => out.push(Effect::Engine(EngineCommand::Note(note))),
            (EngineStage::Opening, Phase::Live) => self.untold.push(EngineCommand::Note(note)),
            _ => {}
        }
    }

    /// On record, without a word of what was said.
    fn steered(&self, what: &'static str, did: &'static str, why: &str, now: CallTime, out: &mut Vec<Effect>) {
        metrics::counter!("caly_calls_steered_total", "what" => what, "did" => did).increment(1);
        self.note("steered", &json!({ "what": what, "did": did, "why": why }), now, out);
    }
}

/// For the person who takes over.
const WANTED: &str = "The caller asked for a person.";
const OFFER: &str = "[the caller wants a person, and nobody can be reached by telephone now. If you have not said so, say it once \
    and offer to have them rung back: ask when it suits them, then call request_callback]";
const NOBODY: &str = "[the caller wants a person, and nobody can be reached by telephone now. If you have not said so, say it once, \
    and that they can ring again later]";
const SUPPRESSED: &str = "[the caller does not want to be rung. Their number is on record now as one that is not rung: tell them so \
    once, in one short sentence, and do not ask for reasons]";
const NOT_SUPPRESSED: &str = "[the caller does not want to be rung, but their number is withheld, so nothing could be put on record. \
    Do not promise it]";
const ABUSED: &str = "[the caller abuses you. Stay calm and polite and do not repeat their words. Say once, kindly, that you will have \
    to end the call if it goes on, and offer help with what they ring for]";

#[cfg(test)]
#[path = "steering_tests.rs"]
mod tests;
