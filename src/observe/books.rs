//! Whether the books are right: the ledger against an independent recount of the queue's index.
//!
//! A recount takes its own copy of the ledger from the read view that it counts in, so both are of one instant and the
//! result is exact under any load. It is slow, so it runs at the start, every few minutes and on demand; what the last
//! one found stands until the next. In between the equation of the books is held against the live ledger at every look.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{error, warn};

use super::facts::now_ms;
use super::sources::Recounting;
use crate::batch::Signal;
use crate::queue::ledger::Ledger;
use crate::queue::snapshot::Recount;

/// Time between recounts: walking the index of a full queue takes about a second, so this is a part in some hundreds.
pub(super) const EVERY: Duration = Duration::from_secs(300);

/// A recount that was finished.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finished {
    /// When, in milliseconds since the Unix epoch.
    pub(super) at_ms: u64,
    /// How long it took.
    pub(super) took: Duration,
    /// What it found, by [`Signal::index`].
    pub(super) signals: [Recount; 3],
}

/// All that recounts said so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Audit {
    /// The last one that was finished.
    pub(super) last: Option<Finished>,
    /// Those that were not.
    pub(super) failures: u64,
    /// Why the last one was not; `None` when it was.
    pub(super) error: Option<String>,
}

impl Audit {
    /// Items by which the books of a signal are off: as the last recount found, or as the ledger's own equation says
    /// now, whichever is more. 0, or a fault.
    pub(super) fn imbalance(&self, signal: Signal, now: &Ledger) -> u64 {
        let live = u64::try_from(now.imbalance().unsigned_abs()).unwrap_or(u64::MAX);
        let found = self.last.as_ref().map_or(0, |last| last.signals[signal.index()].imbalance());
        live.max(found)
    }
}

/// Runs recounts, one at a time.
#[derive(Debug, Default)]
pub(super) struct Auditor {
    turn: tokio::sync::Mutex<()>,
    audit: Mutex<Audit>,
}

impl Auditor {
    /// What is known by now.
    pub(super) fn audit(&self) -> Audit {
        self.audit.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs one recount, after the one under way if there is one.
    pub(super) async fn run(&self, recount: impl FnOnce() -> Recounting) -> Result<[Recount; 3], String> {
        let _turn = self.turn.lock().await;
        let started = Instant::now();
        let counted = recount().await;
        let mut audit = self.audit.lock().unwrap_or_else(PoisonError::into_inner);
        match &counted {
            Ok(signals) => {
                audit.last = Some(Finished { at_ms: now_ms(), took: started.elapsed(), signals: *signals });
                audit.error = None;
                complain(signals);
            }
            Err(reason) => {
                audit.failures += 1;
                audit.error = Some(reason.clone());
                warn!(reason, "the queue could not be recounted");
            }
        }
        counted
    }
}

fn complain(signals: &[Recount; 3]) {
    for (signal, found) in Signal::ALL.into_iter().zip(signals) {
        if found.imbalance() > 0 {
            error!(
                %signal,
                items = found.imbalance(),
                queued_by_ledger = found.books.queued,
                queued_by_recount = found.items,
                owed_by_ledger = found.books.owed,
                owed_by_recount = found.owed,
                "the books do not balance: this is a fault of spillway or of its disk"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books(accepted: u64, queued: u64, delivered: u64) -> Ledger {
        Ledger { accepted, queued, delivered, ..Ledger::default() }
    }

    fn counting(found: Result<[Recount; 3], String>) -> impl FnOnce() -> Recounting {
        move || Box::pin(async move { found })
    }

    /// Scenario: between recount and look, items were accepted and delivered.
    /// Guarantee: the books read 0, since each side was compared with what is of its own instant.
    #[tokio::test]
    async fn load_between_recounts_is_no_imbalance() {
        let auditor = Auditor::default();
        let found = Recount { items: 40, books: books(100, 40, 60), ..Recount::default() };
        auditor.run(counting(Ok([found; 3]))).await.unwrap();
        assert_eq!(auditor.audit().imbalance(Signal::Logs, &books(900, 7, 893)), 0);
    }

    /// Scenario: the index holds two items less than the ledger says; later another recount finds them.
    /// Guarantee: the books are off by two until a recount says otherwise, whatever the live ledger says.
    #[tokio::test]
    async fn what_a_recount_found_stands_until_the_next() {
        let auditor = Auditor::default();
        let mut found = [Recount { items: 40, books: books(100, 40, 60), ..Recount::default() }; 3];
        found[Signal::Logs.index()].items = 38;
        auditor.run(counting(Ok(found))).await.unwrap();
        assert_eq!(auditor.audit().imbalance(Signal::Logs, &books(500, 0, 500)), 2);
        assert_eq!(auditor.audit().imbalance(Signal::Traces, &books(500, 0, 500)), 0);
        found[Signal::Logs.index()].items = 40;
        auditor.run(counting(Ok(found))).await.unwrap();
        assert_eq!(auditor.audit().imbalance(Signal::Logs, &books(500, 0, 500)), 0);
    }

    /// Scenario: no recount has run, and the ledger's own equation does not hold.
    /// Guarantee: it shows at once.
    #[test]
    fn a_broken_equation_shows_without_a_recount() {
        assert_eq!(Audit::default().imbalance(Signal::Traces, &books(10, 3, 4)), 3);
        assert_eq!(Audit::default().imbalance(Signal::Traces, &books(7, 4, 4)), 1);
    }

    /// Scenario: a recount fails after one that was finished.
    /// Guarantee: it is counted and told, and what was found before stands.
    #[tokio::test]
    async fn a_failed_recount_is_counted() {
        let auditor = Auditor::default();
        auditor.run(counting(Ok([Recount::default(); 3]))).await.unwrap();
        auditor.run(counting(Err("the store is closed".to_owned()))).await.unwrap_err();
        let audit = auditor.audit();
        assert_eq!((audit.failures, audit.last.is_some()), (1, true));
        assert_eq!(audit.error.as_deref(), Some("the store is closed"));
    }
}
