//! What breaks below the gateway: processes killed, disks that fail or fill up, files damaged at rest. The real binary, a real
//! store, and an account kept outside of it.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![allow(dead_code, reason = "the support is shared with other suites, which use more of it")]

mod damage_at_rest;
#[path = "../support/mod.rs"]
mod support;

mod held_lane;
mod queues;
mod space_back;
