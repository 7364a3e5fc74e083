//! What the keeping thread has removed, in a simulation: its own rules decide, the committing thread's own code carries it out,
//! and what went is told, read from the disk before and after, whatever the books say of it.
//!
//! Between two of its questions to the committing thread nothing else happens, so that a seed gives one result.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Stepping;
use crate::batch::{Batch, Key, Signal};
use crate::config::QueueConfig;
use crate::queue::codec::record;
use crate::queue::error::StoreError;
use crate::queue::inbox::{Wake, Work};
use crate::queue::keeper::Keeper;
use crate::queue::ledger::{DropReason, Ledger};
use crate::queue::memory::Budget;
use crate::queue::shared::Shared;
use crate::queue::space::Measurement;
use crate::queue::store::{Engine, Family, keys};

/// Batches of a signal that were removed at one look, for one reason.
#[derive(Debug)]
pub(crate) struct Gone {
    pub(crate) at: Instant,
    pub(crate) signal: Signal,
    pub(crate) reason: DropReason,
    /// What went, by its place.
    pub(crate) batches: BTreeMap<Key, Batch>,
    /// The first in line that stayed.
    pub(crate) first_left: Option<Key>,
    /// What the books came to say: items dropped for that reason, and items released that a fallback has.
    pub(crate) dropped: u64,
    pub(crate) released: u64,
}

/// A keeping thread that is none: it looks when it is told to.
pub(super) fn keeper(engine: Arc<dyn Engine>, shared: Arc<Shared>, config: &QueueConfig, budget: &Budget) -> Keeper {
    let keeper = Keeper::new(engine, shared, config.directory.clone(), config, budget);
    measure(&keeper.shared);
    keeper
}

/// What lives takes its space, and what is removed gives it back at once.
fn measure(shared: &Shared) {
    let used = Signal::ALL.into_iter().map(|signal| shared.lanes(signal).books.queued_bytes).sum();
    let seen = Measurement { used, free: None, volume: None, reserved: 0, appended: shared.space.appended() };
    shared.space.measured(seen, 0);
}

impl Stepping {
    /// A look of the keeping thread, while nothing waits to be written.
    pub(super) fn keep(&mut self) -> Vec<Gone> {
        measure(&self.shared);
        let limits = self.shared.limits.now();
        let ages = Signal::ALL.into_iter().any(|signal| !limits.of_signal(signal).max_age.is_zero());
        let mut gone = Vec::new();
        if ages {
            gone.extend(self.removed(DropReason::MaxAge, Keeper::expire));
        }
        if self.shared.space.is_pressed() {
            gone.extend(self.removed(DropReason::QueueFull, |keeper| keeper.make_room().map(drop)));
        }
        gone
    }

    /// Carries out what the keeping thread asks for meanwhile; and what that removed.
    fn removed(
        &mut self,
        reason: DropReason,
        look: impl FnOnce(&Keeper) -> Result<(), StoreError> + Send,
    ) -> Vec<Gone> {
        let stood = Signal::ALL.map(|signal| (self.books(signal), self.standing(signal)));
        thread::scope(|scope| {
            let (keeper, runtime) = (&self.keeper, Handle::current());
            let looking = scope.spawn(move || {
                let _clock = runtime.enter();
                look(keeper)
            });
            let mut work = Work::default();
            while !looking.is_finished() {
                match self.shared.inbox.fetch(&mut work, Some(std::time::Instant::now())) {
                    Wake::Work => self.committer.work(&mut work).unwrap(),
                    _ => thread::yield_now(),
                }
            }
            looking.join().unwrap().unwrap();
        });
        let gone = Signal::ALL.into_iter().zip(stood).map(|(signal, (before, mut batches))| {
            let (books, left) = (self.books(signal), self.standing(signal));
            batches.retain(|place, _| !left.contains_key(place));
            let mut others = (before.dropped, books.dropped);
            (others.0[reason as usize], others.1[reason as usize]) = (0, 0);
            assert_eq!(others.0, others.1, "another reason was counted");
            Gone {
                at: Instant::now(),
                signal,
                reason,
                batches: batches.into_iter().map(|((_, key), batch)| (key, batch)).collect(),
                first_left: left.keys().find(|(parked, _)| !parked).map(|(_, key)| *key),
                dropped: books.dropped[reason as usize] - before.dropped[reason as usize],
                released: books.owed_released - before.owed_released,
            }
        });
        gone.filter(|gone| !gone.batches.is_empty() || gone.dropped + gone.released > 0).collect()
    }

    fn books(&self, signal: Signal) -> Ledger {
        self.shared.lanes(signal).books
    }

    /// What lies on the disk and is not settled, in line and parked.
    fn standing(&self, signal: Signal) -> BTreeMap<(bool, Key), Batch> {
        let (first, last) = (Key::new(0), Key::new(u64::MAX));
        let mut standing = BTreeMap::new();
        let mut note = |parked, key: Option<Key>, value: &[u8]| {
            let batch = key.zip(record::decode(value.to_vec()).ok());
            standing.extend(batch.map(|(key, (batch, _))| ((parked, key), batch)));
            ControlFlow::Continue(())
        };
        let (from, to) = (first.encode(), last.encode());
        let line = &mut |key: &[u8], value: &[u8]| note(false, Key::decode(key), value);
        self.engine.walk(Family::Records(signal), from.as_ref(), to.as_ref(), line).unwrap();
        let (from, to) = (keys::of(signal, first), keys::of(signal, last));
        let parked = &mut |key: &[u8], value: &[u8]| note(true, keys::parse(key).map(|(_, key)| key), value);
        self.engine.walk(Family::Parked, from.as_ref(), to.as_ref(), parked).unwrap();
        standing
    }
}
