//! The binary as a user sees it: one integration binary, a module for each subject.
//!
//! They need root (for network namespaces), PostgreSQL, Knot DNS, strace, nftables, iproute2 and
//! util-linux, and say so when one is missing; `tests/run` installs them.

// Helpers and tests alike stop with the reason when their own setup fails.
#![expect(
    clippy::expect_used,
    reason = "a test's own setup has nobody to return an error to"
)]

mod harness;
mod support;
