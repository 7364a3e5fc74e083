//! What networks and hubs do to delivery: faults on the way and strange answers, under load, with every invariant checked.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![allow(dead_code, reason = "the support is shared with other suites, which use more of it")]

mod answers;
mod hub;
mod load;
mod oracle;
#[path = "../support/proxy/mod.rs"]
mod proxy;
mod rig;
mod scenario;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tls.rs"]
mod tls;
mod ways;
