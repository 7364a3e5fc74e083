//! The status: everything that people and programs are shown, as one JSON object. `docs/status.md` describes it.
//!
//! Times are milliseconds since the Unix epoch (`…_ms`) or seconds to come (`…_seconds`); what is not known is null.
//! Fields are added, not renamed or removed.

mod build;
mod parts;

use serde::Serialize;

use super::headline::Headline;
use super::probes::Phase;
use super::sources::Reload;
use crate::batch::Signal;
use crate::deliver::by_hand::ByHand;
use crate::deliver::snapshot::{ChainView, Event};

pub(super) use build::build;
pub use parts::{
    Audited, Books, Commit, Counted, DeadLetters, Doors, LastError, Queue, QueueSignal, Recounted, Target,
};

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The headline: how the gateway does, since when and why.
    pub headline: Headline,
    /// Where the process is in its life.
    pub phase: Phase,
    /// Version of spillway.
    pub version: &'static str,
    /// Commit it was built from.
    pub commit: &'static str,
    /// Name of this cluster; empty when it has none.
    pub cluster: String,
    /// When this was written.
    pub now_ms: u64,
    /// When the process started.
    pub started_ms: u64,
    /// Time since then.
    pub uptime_seconds: u64,
    /// Where it listens.
    pub endpoints: Endpoints,
    /// The parts; null until the queue is recovered.
    #[serde(flatten)]
    pub parts: Option<Parts>,
    /// What happened, oldest first: moves, trips, changes of the headline.
    pub timeline: Vec<Event>,
}

/// The parts, once they work.
#[derive(Debug, Clone, Serialize)]
pub struct Parts {
    /// Each signal's chain.
    pub chains: BySignal<ChainView>,
    /// What became of the configuration when it was read again last.
    pub reload: Reload,
    /// What a person ordered that holds until it is taken back.
    pub by_hand: ByHand,
    /// Every target that a chain names.
    pub targets: Vec<Target>,
    /// What waits.
    pub queue: Queue,
    /// What came in.
    pub doors: Doors,
    /// Where everything went.
    pub books: Books,
}

/// Where the process listens, as `host:port`; null for a door that is not open.
#[derive(Debug, Clone, Serialize)]
pub struct Endpoints {
    /// OTLP/gRPC.
    pub grpc: Option<String>,
    /// OTLP/HTTP.
    pub http: Option<String>,
    /// The admin port.
    pub admin: Option<String>,
}

/// One value a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct BySignal<T> {
    /// Of traces.
    pub traces: T,
    /// Of metrics.
    pub metrics: T,
    /// Of logs.
    pub logs: T,
}

impl<T> BySignal<T> {
    /// Asks `of` for each.
    pub(super) fn each(mut of: impl FnMut(Signal) -> T) -> BySignal<T> {
        BySignal { traces: of(Signal::Traces), metrics: of(Signal::Metrics), logs: of(Signal::Logs) }
    }
}
