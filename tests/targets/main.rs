//! Targets against servers and files that behave, and against all kinds that do not.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing where it does")]

mod answers;
mod bodies;
mod breaks;
mod cancelling;
mod certificates;
mod connections;
mod credentials;
mod encodings;
mod file_damage;
mod file_lines;
mod file_rotation;
mod headers;
mod mistakes;
mod probes;
mod proxies;
mod setup;
#[path = "../support/sink.rs"]
mod sink;
mod traced;
mod untouched;
