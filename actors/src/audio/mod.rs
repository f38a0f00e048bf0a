//! Audio as numbers: lanes that carry it, G.711, resampling and levels. No sockets, no clocks.

pub mod lane;
