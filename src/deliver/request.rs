//! The words between a line and a target's state: what a signal asks, what it gets, why it waits, what came of it.

use std::time::Duration;

use tokio::time::Instant;

use super::breaker::Permit;
use crate::batch::Signal;
use crate::queue::Lane;

/// What a signal would like to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Which signal.
    pub signal: Signal,
    /// It has fresh data.
    pub fresh: bool,
    /// It has backlog.
    pub backlog: bool,
    /// `replay.rate` holds for its backlog.
    pub paced: bool,
}

/// A place among the requests in flight. It comes back through [`TargetState::report`](super::target_state::TargetState::report) or
/// [`TargetState::cancel`](super::target_state::TargetState::cancel).
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// Who sends.
    pub signal: Signal,
    /// When it was given: the send time.
    pub sent: Instant,
    /// Whether the breaker was closed then.
    pub breaker_closed: bool,
    /// Whether the breaker tries the target out with it.
    pub trial: bool,
    /// Whether it is for a suspect: outside of every limit, and without a word to the breaker.
    pub alone: bool,
    /// Whether fresh data may go.
    pub fresh: bool,
    /// Whether backlog may go.
    pub backlog: bool,
    /// What does go, and of how many bytes, once that is known.
    pub lane: Lane,
    pub(super) bytes: usize,
    pub(super) paced: bool,
    /// When something was sent that had found the target well by then.
    pub well: Option<Instant>,
    pub(super) permit: Permit,
    /// Requests in flight then, this one included.
    pub(super) crowd: usize,
    /// Failures that were known then; those of one moment make the wait grow once.
    pub(super) streak: u64,
}

/// Why nothing may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not before this moment.
    Until(Instant),
    /// Only the pace stands against it, until this moment; other data could perhaps go.
    Pace(Instant),
    /// Until something happens here: all slots are taken, or it was opened by hand.
    Event,
}

/// What an answer means for the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It took the batch.
    Success,
    /// It failed in passing: the next attempt waits.
    Failure,
    /// A batch failed again while others were taken: the next attempt waits, the breaker does not count it.
    Suspect,
    /// It failed in a way that may lie with the batch: another may go at once, the breaker counts it.
    Doubt,
    /// It lives, and has enough.
    Throttle,
    /// Its endpoint is wrong for this signal.
    Misconfigured,
    /// It says nothing about the target.
    Nothing,
}

/// An answer, as far as the target's state is concerned.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// What it means.
    pub effect: Effect,
    /// The server's delay, capped.
    pub delay: Option<Duration>,
}
