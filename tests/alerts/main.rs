//! Alerts, from the shipped rules to a Prometheus that scrapes a gateway through an outage.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![allow(clippy::print_stdout, reason = "what fired when is printed")]
#![allow(dead_code, reason = "the support is shared with other suites, which use more of it")]

mod common;
mod dashboard;
mod grafana;
mod imported;
mod named;
mod outage;
mod prometheus;
#[path = "../support/proxy/mod.rs"]
mod proxy;
mod rules;
mod shipped;
mod silent;
#[path = "../support/skip.rs"]
mod skip;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tls.rs"]
mod tls;
#[path = "../interop/tools.rs"]
mod tools;
