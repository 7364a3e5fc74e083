//! Alerts, from the shipped rules to a Prometheus that scrapes a gateway through an outage.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![allow(clippy::print_stdout, reason = "what fired when is printed")]
#![allow(dead_code, reason = "the support is shared with other suites, which use more of it")]

mod dashboard;
mod named;
mod outage;
mod prometheus;
mod rules;
mod shipped;
#[path = "../support/skip.rs"]
mod skip;
#[path = "../support/mod.rs"]
mod support;
