//! The batch that kills the process: found out by sending one at a time.
//!
//! A parser of a target, a library, the kernel's killer of large processes: something may end the process whenever a certain
//! batch is on its way, and end it again after each start, for ever. So after an end without close the first batches are handed out
//! one at a time, and the name of the one that is out is written down before. What was out when the process ended is counted;
//! at [`FATAL`] ends the batch is parked, and not tried again by itself.
//!
//! The name is written and not synced: what is looked for ends the process and not the power. It knows nothing of targets.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::codec::careful::{self as codec, Suspect};
use super::command::Command;
use super::error::StoreError;
use super::ledger::Ledger;
use super::shared::Shared;
use super::store::{Engine, Family, keys};
use crate::batch::{Key, Signal};

/// Ends of the process after which a batch that was on its way in each of them is parked.
pub(super) const FATAL: u8 = 3;
/// So many batches of before the start are sent one at a time, or all there are.
const BATCHES: u64 = 64;
/// And for this long at most: a slow target must not hold up the others for long.
const WITHIN: Duration = Duration::from_secs(10);
/// Suspects that are remembered.
const REMEMBERED: usize = 16;

/// Whether one batch at a time is handed out, and which batches are suspects.
#[derive(Debug, Default)]
pub(super) struct Careful {
    active: AtomicBool,
    phase: Mutex<Option<Phase>>,
}

#[derive(Debug)]
struct Phase {
    until: Instant,
    /// Batches of before the start that are still to be settled, and the first sequence numbers after it.
    left: u64,
    next_seq: [u64; 3],
    suspects: Vec<Suspect>,
    /// Whether the turn is taken.
    taken: bool,
    /// Somebody was told to wait.
    missed: bool,
}

/// Who may lease a batch.
#[derive(Debug)]
pub(super) enum Turn {
    /// Everybody.
    Free,
    /// The one who has this.
    Mine(Pass),
    /// Somebody else.
    Others,
}

/// The turn to have a batch out. Dropped, it is another's.
#[derive(Debug)]
pub(super) struct Pass {
    shared: Arc<Shared>,
    out: Option<(Signal, Key)>,
}

/// Counts what was on its way when the last process ended, and forgets that after a close.
pub(super) fn recover(engine: &dyn Engine, clean: bool, books: &[Ledger; 3]) -> Result<Vec<Suspect>, StoreError> {
    let Some(bytes) = engine.get(Family::Meta, keys::CAREFUL)? else { return Ok(Vec::new()) };
    let mut suspects = codec::decode(&bytes).unwrap_or_default(); // at worst one is found out later
    suspects.retain(|suspect| !clean && suspect.key.seq >= books[suspect.signal.index()].low);
    for suspect in &mut suspects {
        suspect.ends = suspect.ends.saturating_add(u8::from(suspect.out));
        suspect.out = false;
    }
    suspects.retain(|suspect| suspect.ends > 0);
    let mut changes = engine.begin(256);
    changes.set(Family::Meta, keys::CAREFUL, &codec::encode(&suspects));
    changes.commit(false)?;
    Ok(suspects)
}

impl Careful {
    /// From now on one batch at a time, if there is any.
    pub(super) fn begin(&self, suspects: Vec<Suspect>, books: &[Ledger; 3]) {
        let queued: u64 = books.iter().map(|books| books.queued_batches - books.parked_batches).sum();
        if queued == 0 {
            return;
        }
        let left = queued.min(BATCHES);
        let within = WITHIN.as_secs();
        tracing::info!(
            batches = left,
            within_s = within,
            suspects = suspects.len(),
            "the last process did not close the queue: batches are sent one at a time at first"
        );
        let next_seq = books.each_ref().map(|books| books.next_seq);
        let until = Instant::now() + WITHIN;
        *self.lock() = Some(Phase { until, left, next_seq, suspects, taken: false, missed: false });
        self.active.store(true, Relaxed);
    }

    /// Takes the turn, unless somebody has it.
    pub(super) fn turn(shared: &Arc<Shared>, now: Instant) -> Turn {
        match shared.careful.others(shared, now, true) {
            None if !shared.careful.active.load(Relaxed) => Turn::Free,
            None => Turn::Mine(Pass { shared: Arc::clone(shared), out: None }),
            Some(_) => Turn::Others,
        }
    }

    /// Until when at most others have the turn; `None` when nobody else has it. Who hears of others is woken when it is free.
    pub(super) fn taken(&self, shared: &Shared, now: Instant) -> Option<Instant> {
        self.others(shared, now, false)
    }

    fn others(&self, shared: &Shared, now: Instant, take: bool) -> Option<Instant> {
        if !self.active.load(Relaxed) {
            return None;
        }
        let mut phase = self.lock();
        let current = phase.as_mut()?;
        if current.left == 0 || now >= current.until {
            let suspects = std::mem::take(&mut current.suspects);
            *phase = None;
            self.active.store(false, Relaxed);
            drop(phase);
            tracing::info!("batches are sent side by side again");
            note(shared, suspects);
            return None;
        }
        if current.taken {
            current.missed = true;
            return Some(current.until);
        }
        current.taken = take;
        None
    }

    /// Whether one batch at a time is handed out.
    pub(super) fn is_active(&self) -> bool {
        self.active.load(Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Phase>> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Careful {
    /// Ends it at once.
    pub(super) fn end(&self) {
        *self.lock() = None;
        self.active.store(false, Relaxed);
    }
}

/// Writes down that none of the suspects is out.
fn note(shared: &Shared, mut suspects: Vec<Suspect>) {
    suspects.iter_mut().for_each(|suspect| suspect.out = false);
    suspects.retain(|suspect| suspect.ends > 0);
    let (reply, _) = oneshot::channel(); // nobody waits
    shared.inbox.command(Command::Note { suspects: codec::encode(&suspects), reply });
}

impl Pass {
    /// How often the process ended while that batch was on its way.
    pub(super) fn ends(&self, signal: Signal, key: Key) -> u8 {
        let phase = self.shared.careful.lock();
        let suspects = phase.iter().flat_map(|phase| &phase.suspects);
        suspects.filter(|suspect| (suspect.signal, suspect.key) == (signal, key)).map(|suspect| suspect.ends).sum()
    }

    /// Writes down that the batch is about to go out; `false` where that fails.
    pub(super) async fn write_down(&mut self, signal: Signal, key: Key) -> bool {
        let (reply, written) = oneshot::channel();
        if let Some(phase) = self.shared.careful.lock().as_mut() {
            match phase.suspects.iter_mut().find(|suspect| (suspect.signal, suspect.key) == (signal, key)) {
                Some(suspect) => suspect.out = true,
                None => phase.suspects.push(Suspect { signal, key, ends: 0, out: true }),
            }
            let forgotten = phase.suspects.len().saturating_sub(REMEMBERED);
            phase.suspects.drain(..forgotten);
            self.out = Some((signal, key));
            self.shared.inbox.command(Command::Note { suspects: codec::encode(&phase.suspects), reply });
        } else {
            return true; // it is over
        }
        matches!(written.await, Ok(Ok(())))
    }

    /// The batch was settled, or put aside: it is no suspect any more.
    pub(super) fn settled(&self, signal: Signal, key: Key) {
        if let Some(phase) = self.shared.careful.lock().as_mut() {
            phase.suspects.retain(|suspect| (suspect.signal, suspect.key) != (signal, key));
            let older = key.seq < phase.next_seq[signal.index()];
            phase.left -= u64::from(older && phase.left > 0);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut phase = self.shared.careful.lock();
        let Some(current) = phase.as_mut() else { return };
        current.taken = false;
        let missed = std::mem::take(&mut current.missed);
        let mut suspects = None;
        if self.out.is_some() {
            current.suspects.iter_mut().for_each(|suspect| suspect.out = false);
            current.suspects.retain(|suspect| suspect.ends > 0);
            suspects = Some(current.suspects.clone());
        }
        drop(phase);
        if let Some(suspects) = suspects {
            note(&self.shared, suspects);
        }
        if missed {
            for ready in &self.shared.ready {
                ready.notify_one();
            }
        }
    }
}
