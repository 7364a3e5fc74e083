//! What networks and hubs do to delivery: faults on the way and strange answers, under load, with every invariant checked.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![allow(clippy::print_stdout, reason = "what was measured is printed")]
#![allow(dead_code, reason = "the support is shared with other suites, which use more of it")]

mod answers;
mod bad_batch;
mod capacity;
mod hub;
mod live;
mod load;
mod no_gzip;
mod oracle;
mod partition;
#[path = "../support/proxy/mod.rs"]
mod proxy;
mod proxy_itself;
mod rig;
mod scenario;
mod sick;
#[path = "../support/mod.rs"]
mod support;
mod takeover;
#[path = "../support/tls.rs"]
mod tls;
mod usage;
mod ways;
