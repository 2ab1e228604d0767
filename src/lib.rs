//! waitgate as a library for its own binary: [`run`], and [`door`] for fuzzers and tests.
//!
//! This is not a public API. It changes with the binary and promises nothing to other crates.

#![cfg_attr(
    not(all(
        feature = "dns",
        feature = "http",
        feature = "k8s",
        feature = "kafka",
        feature = "mysql",
        feature = "postgres",
        feature = "tls"
    )),
    allow(dead_code, reason = "a build without a kind does not use all that the kinds share")
)]

mod app;
mod attempt;
mod cli;
mod command;
#[doc(hidden)]
pub mod door;
mod env;
mod event;
mod file;
mod gate;
mod kind;
mod net;
#[cfg(test)]
mod numbers;
mod plan;
mod reason;
mod report;
mod secret;
mod signal;
mod text;
mod verdict;

pub use app::{panicked, run};
