//! One call: what it hears and wants ([`event`]), how it decides ([`state`]) and the actor that carries it out ([`actor`]).

pub mod actor;
mod agreed;
mod answering;
mod aside;
pub mod clock;
pub mod consent;
mod conversation;
pub(crate) mod deaf;
mod doing;
mod draft;
mod ending;
pub mod event;
mod floor;
mod greeting;
mod heard;
mod hearing;
mod hello;
mod history;
mod leave;
pub mod ledger;
#[cfg(test)]
#[path = "long_tests.rs"]
mod long;
mod parting;
mod passed;
pub mod past;
mod planned;
mod recogniser;
mod recognition;
mod recollection;
pub(crate) mod rehearing;
mod renewal;
mod reply;
pub mod responses;
#[cfg(test)]
#[path = "scene_tests.rs"]
mod scene;
mod silenced;
pub mod state;
pub mod steering;
mod summary;
#[cfg(test)]
#[path = "table_tests.rs"]
mod table;
#[cfg(test)]
pub(crate) fn tabled_agent() -> crate::domain::Agent {
    table::agent(true)
}
pub mod timers;
mod trouble;
pub mod turns;
pub mod undoing;
pub mod waited;
mod waiting;
mod window;

use std::marker::PhantomData;

use actix::prelude::*;

/// Something the call hears.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct Heard(pub event::CallEvent);

/// End, at once. Children do not end by themselves while their call lives.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Stop;

/// Show yourself: answered with a small snapshot that tests, the API and the dashboard share.
#[derive(Clone, Copy, Debug)]
pub struct Observe<S>(PhantomData<S>);

impl<S> Default for Observe<S> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<S: 'static> Message for Observe<S> {
    type Result = S;
}
