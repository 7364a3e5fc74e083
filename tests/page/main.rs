//! The page in headless Chromium: a real gateway, real hubs that go away, and what a person sees of it.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![allow(dead_code, reason = "the support is shared with other suites, which use more of it")]

mod browser;
mod by_hand;
mod elsewhere;
mod letters;
mod looks;
mod outage;
mod reconnects;
mod scene;
#[path = "../support/skip.rs"]
mod skip;
#[path = "../support/mod.rs"]
mod support;
mod wire;
