//! Exotel: what its webhooks, media stream and REST service say, as the nouns of a call.
//!
//! Owns every Exotel field name, time format and number format. Knows no socket, no route, no database: plain functions
//! over text and bytes, except for the one REST request in [`rest`], which carries its own deadline.
//!
//! | file | direction |
//! |---|---|
//! | [`webhook`] | webhooks in: query and body → typed views |
//! | [`answers`] | what webhooks are answered with |
//! | [`media`] | one media message in or out; `wire` holds its JSON |
//! | [`session`] | a whole media stream: tolerance rules, gaps, duplicates |
//! | [`numbers`] [`times`] | the two formats everything above needs |
//! | [`rest`] | reading a call back from Exotel |

pub mod answers;
pub mod media;
pub mod numbers;
mod params;
pub mod rest;
pub mod sequence;
pub mod session;
pub mod times;
pub mod webhook;
mod wire;
