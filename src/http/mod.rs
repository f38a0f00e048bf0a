//! HTTP: what stands between the network and the rooms behind it.

pub mod guard;
