//! The live view of a terminal. It replaces the heartbeats.

pub(super) mod rows;
pub(super) mod screen;
