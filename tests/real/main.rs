//! The binary in Pods and against real servers, one module for each subject.
//!
//! These tests need root (for network namespaces), `PostgreSQL`, Knot DNS, strace, nftables, iproute2, tmux and more,
//! and say so when one is missing; `tests/run rust` installs them and runs both houses. Plain `cargo test` leaves
//! them out.

#![expect(clippy::unwrap_used, reason = "a test has no caller to return an error to")]
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
    allow(dead_code, unused_imports, reason = "a build without a kind has no tests for it")
)]

/// The harness: runs of the binary, a Pod's namespaces, servers real and fake.
#[allow(dead_code, unused_imports, reason = "this house needs a part of it")]
#[path = "../support/mod.rs"]
mod support;

/// The servers and the Pod themselves.
mod harness;

/// `amqp:`.
#[cfg(feature = "amqp")]
mod amqp;
/// Each file of examples/, run as it is written.
#[cfg(all(
    feature = "dns",
    feature = "grpc",
    feature = "http",
    feature = "k8s",
    feature = "kafka",
    feature = "mysql",
    feature = "postgres",
    feature = "tls"
))]
mod examples;
/// A whole manifest's worth of targets.
#[cfg(all(feature = "dns", feature = "http", feature = "postgres"))]
mod gate;
/// `gone`, where a Pod's network or names have to change.
mod gone;
/// `grpc:`.
#[cfg(feature = "grpc")]
mod grpc;
/// Servers and nameservers that hang.
mod hang;
/// Each hint with its evidence, and without.
#[cfg(all(
    feature = "dns",
    feature = "http",
    feature = "k8s",
    feature = "mysql",
    feature = "postgres",
    feature = "tls"
))]
mod hints;
/// `http:` and `https:`.
#[cfg(feature = "http")]
mod http;
/// The JSON log, held against its schema.
mod json_schema;
/// `kafka:`.
#[cfg(feature = "kafka")]
mod kafka;
/// What is never asked of libc.
mod libc;
/// A node that limits its refusals.
mod limited;
/// The loops that waitgate replaces, and how they fail.
mod loops;
/// Every kind, every stage, every fault, every bound.
#[cfg(all(
    feature = "amqp",
    feature = "dns",
    feature = "grpc",
    feature = "http",
    feature = "kafka",
    feature = "mysql",
    feature = "postgres",
    feature = "redis",
    feature = "mongodb",
    feature = "tls"
))]
mod matrix;
/// `mongodb:`.
#[cfg(feature = "mongodb")]
mod mongodb;
/// `mysql:`.
#[cfg(feature = "mysql")]
mod mysql;
/// Names, against glibc and independent servers.
#[cfg(feature = "dns")]
mod names;
/// Where people put waitgate: Helm, Kustomize and others, by their own tools.
#[cfg(all(feature = "dns", feature = "http", feature = "postgres", feature = "tls"))]
mod places;
/// `postgres:`.
#[cfg(feature = "postgres")]
mod postgres;
/// What the README shows.
#[cfg(all(feature = "dns", feature = "http", feature = "postgres"))]
mod readme;
/// `redis:`.
#[cfg(feature = "redis")]
mod redis;
/// Wrong input sends nothing.
mod refused;
/// A line is one write.
mod report;
/// `send=`: memcached, Redis, beanstalkd, mosquitto, ZooKeeper, Postfix.
mod send;
/// Completions and the man page, as their readers take them.
#[cfg(all(feature = "dns", feature = "http", feature = "postgres", feature = "tls"))]
mod shipped;
/// SIGTERM and SIGINT, as PID 1 and in the stages that only strace or a Pod can hold up.
mod signals;
/// What is said in each of some hundred situations.
#[cfg(all(
    feature = "amqp",
    feature = "dns",
    feature = "http",
    feature = "mongodb",
    feature = "mysql",
    feature = "postgres",
    feature = "tls"
))]
mod situations;
/// `tcp:`.
mod tcp;
/// The live view, in tmux.
mod terminal;
/// The termination message at its default path.
mod termination;
/// `tls:`.
#[cfg(feature = "tls")]
mod tls;
