//! Audio as numbers: lanes that carry it, G.711, resampling, when and how loud the caller is, and how far the caller has heard. No sockets, no clocks.

pub mod arrival;
pub mod caller;
pub mod convert;
pub mod echo;
pub mod g711;
pub mod lane;
pub mod level;
mod marks;
pub mod playout;
pub mod resample;
mod steps;
