//! The live view of a terminal: it takes the heartbeats' place.

pub(super) mod rows;
pub(super) mod screen;
