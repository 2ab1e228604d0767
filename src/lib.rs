//! The modules of waitgate, for its own binary, fuzzers, benches and simulation.
//!
//! Nothing here is a public API: it changes with the binary and promises nothing to other crates.

pub mod app;
pub mod backoff;
pub mod cli;
pub mod gate;
pub mod hint;
pub mod net;
pub mod plan;
pub mod reason;
pub mod report;
pub mod secret;
pub mod signal;
pub mod target;
pub mod trail;
pub mod vars;
pub mod verdict;
