//! One call: what it hears and wants ([`event`]), how it decides ([`state`]) and the actor that carries it out.

pub mod event;
pub mod ledger;
pub mod responses;
pub mod timers;
pub mod turns;
