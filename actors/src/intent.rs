//! Caller turns → intents and entities. Started by the call; hears [`Understand`]; tells the call what a turn wants.
//! Owns nothing: a crash loses the turn in hand and nothing else.

use std::sync::Arc;

use actix::WeakRecipient;
use actix::prelude::*;

use crate::call::event::CallEvent;
use crate::call::{Heard, Stop};
use crate::domain::{Agent, TurnId};
use crate::understand::{Surroundings, understand};

/// A caller turn to be understood.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Understand {
    /// Which.
    pub turn: TurnId,
    /// Its words.
    pub text: Arc<str>,
    /// What the agent said before.
    pub asked: Arc<str>,
    /// Names of what waits for a yes, with blanks between.
    pub waiting: Arc<str>,
    /// The callers' local time.
    pub now: Option<chrono::NaiveDateTime>,
}

/// See the module's text.
pub struct Intent {
    parent: WeakRecipient<Heard>,
    /// Whose intents and products are known.
    agent: Arc<Agent>,
}

impl Intent {
    /// Ready to be started.
    #[must_use]
    pub fn new(parent: WeakRecipient<Heard>, agent: Arc<Agent>) -> Self {
        Self { parent, agent }
    }
}

impl Actor for Intent {
    type Context = Context<Self>;
}

impl Supervised for Intent {}

impl Handler<Understand> for Intent {
    type Result = ();

    fn handle(&mut self, Understand { turn, text, asked, waiting, now }: Understand, _: &mut Self::Context) {
        let begun = std::time::Instant::now();
        let (products, own) = (Some(&*self.agent.products), Some(&*self.agent.intents));
        let understanding = understand(&text, Surroundings { asked: &asked, waiting: &waiting, now, products, own });
        metrics::histogram!("caly_understand_seconds").record(begun.elapsed().as_secs_f64());
        if let Some(parent) = self.parent.upgrade() {
            parent.do_send(Heard(CallEvent::TurnUnderstood { turn, understanding }));
        }
    }
}

impl Handler<Stop> for Intent {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

#[cfg(any(test, feature = "planned-panics"))]
impl Handler<crate::supervise::PlannedPanic> for Intent {
    type Result = ();

    fn handle(&mut self, _: crate::supervise::PlannedPanic, _: &mut Self::Context) {
        crate::supervise::planned_panic();
    }
}

#[cfg(any(test, feature = "planned-panics"))]
impl Handler<crate::supervise::PlannedBlock> for Intent {
    type Result = ();

    fn handle(
        &mut self,
        crate::supervise::PlannedBlock(length): crate::supervise::PlannedBlock,
        _: &mut Self::Context,
    ) {
        std::thread::sleep(length);
    }
}
