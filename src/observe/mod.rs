//! What operators see: metrics, probes and status on the admin port, and the headline in the log.
//!
//! The parts count and are looked at: this part turns their snapshots into names, words and JSON. It changes nothing, and
//! knows snapshots only, not the parts that make them: [`Sources`] hands it closures.
//!
//! ```text
//!  Sources ── read ──► Reading ─┬─► headline (since when, why) ──► log, timeline ─┐
//!                               ├─► trend (full in, replayed in) ─────────────────┤
//!                               ├─► history (the last 15 minutes) ────────────────┤
//!                               └─────────────────────────────────────────────────┴─► View ─► metrics, status, events
//!  recount, every five minutes ────► books (imbalance) ───────────────────────────────┘
//! ```

mod access;
pub mod account;
mod admin;
mod books;
pub mod commands;
mod events;
mod facts;
mod headline;
mod heartbeat;
pub mod history;
mod lanes;
mod metrics;
mod observer;
mod probes;
mod routes;
pub mod socket;
mod sources;
pub mod status;
mod trend;
mod view;

pub use admin::{Admin, BindError, Serving};
pub use facts::{Facts, now_ms};
pub use headline::{Headline, State};
pub use lanes::{Amount, Lanes};
pub use metrics::{Registry, RegistryError};
pub use observer::Observer;
pub use probes::Phase;
pub use sources::{Reading, Recounting, Reload, Sources};

#[cfg(test)]
use crate as spillway;
#[cfg(test)]
mod example;
