//! What operators see, over real sockets: the parts behind it are snapshots that each scenario sets as it likes.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests fail a test as tests do")]

pub(crate) use ::spillway;

#[path = "../../src/observe/example.rs"]
mod example;

mod access;
mod bind;
mod books;
mod cost;
mod docs;
mod events;
mod exposition;
mod headline;
mod labels;
mod probes;
mod promtool;
#[path = "../support/skip.rs"]
mod skip;
mod status;
mod stop;
mod stuck;
mod support;
mod watch;
