//! Engines: what hears the caller and speaks for the agent. Each vendor has a folder of its own, and none of
//! its types leaves that folder.

pub mod hanging;
pub mod openai;
pub mod verdict;
