//! The modules of waitgate, for its own binary, fuzzers, benches and simulation.
//!
//! Nothing here is a public API: it changes with the binary and promises nothing to other crates.

pub mod net;
pub mod reason;
pub mod secret;
pub mod target;
pub mod trail;
pub mod vars;
