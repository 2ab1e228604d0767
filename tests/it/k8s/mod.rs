//! `k8s:` against a scripted API server.

/// Refusals, missing rights, wrong certificates, wrong input.
mod failures;
/// The nearest name of an object that is missing.
mod near;
/// The states of the resources.
mod states;
/// Lists, watches, and what ends them.
mod watches;
