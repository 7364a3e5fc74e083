//! The batch that kills the process: found out by sending one at a time.
//!
//! A parser of a target, a library, the kernel's killer of large processes: something may end the process whenever a certain
//! batch is on its way, and end it again after each start, for ever. So after an end without close the first batches are handed out
//! one at a time, and the name of the one that is out is written down before; so is the name of a parked one whenever it is tried
//! alone. What was out when the process ended is counted; at [`FATAL`] ends the batch is put aside, and not tried again by itself.
//!
//! The names lie in a small file beside the store that is written in place and not synced: what is looked for ends the process and
//! not the power, and a batch that waited for the fsyncs of others would make this last. It knows nothing of targets.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::codec::careful::{self as codec, Suspect};
use super::ledger::Ledger;
use super::recover::Recovered;
use super::shared::Shared;
use crate::batch::{Key, Signal};

/// Ends of the process after which a batch that was on its way in each of them is put aside.
pub(super) const FATAL: u8 = 3;
/// So many batches of before the start are sent one at a time, or all there are.
const BATCHES: u64 = 64;
/// And for this long at most: a slow target must not hold up the others for long.
const WITHIN: Duration = Duration::from_secs(10);
/// Suspects that are remembered.
const REMEMBERED: usize = 16;
const FILE: &str = "spillway.careful";

/// Whether one batch at a time is handed out, and which batches are suspects.
#[derive(Debug, Default)]
pub(super) struct Careful {
    active: AtomicBool,
    state: Mutex<State>,
    /// Where the suspects are written; nothing where that is not possible. Locked before `state`.
    file: Mutex<Option<File>>,
}

#[derive(Debug, Default)]
struct State {
    suspects: Vec<Suspect>,
    phase: Option<Phase>,
}

/// The time in which one batch at a time is handed out.
#[derive(Debug)]
struct Phase {
    until: Instant,
    /// Batches of before the start that are still to be settled, and the first sequence numbers after it.
    left: u64,
    next_seq: [u64; 3],
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

/// The right to have a batch out that is written down. Dropped, it is out no more.
#[derive(Debug)]
pub(super) struct Pass {
    shared: Arc<Shared>,
    /// Whether it is the turn of one at a time.
    turn: bool,
    out: Option<(Signal, Key)>,
}

/// The suspects of a store, as they were written last.
pub(super) fn read(directory: &Path, store: u64) -> Vec<Suspect> {
    match fs::read(directory.join(FILE)).map(|bytes| codec::decode(&bytes)) {
        Ok(Ok((of, suspects))) if of == store => suspects,
        _ => Vec::new(), // at worst one is found out later
    }
}

/// Counts what was on its way when the last process ended, and forgets that after a close; but for what is put aside.
fn count(mut suspects: Vec<Suspect>, recovered: &Recovered) -> Vec<Suspect> {
    suspects.retain_mut(|suspect| {
        let index = suspect.signal.index();
        let parked = recovered.parked[index].iter().any(|(key, _)| *key == suspect.key);
        let out = std::mem::take(&mut suspect.out) && !recovered.clean;
        suspect.ends = suspect.ends.saturating_add(u8::from(out));
        if parked && out && suspect.ends == FATAL {
            tracing::error!(
                signal = %suspect.signal, key = %suspect.key, ends = FATAL,
                "each time that this parked batch was tried the process ended: it is not tried again by itself"
            );
        }
        match recovered.clean {
            true => parked && suspect.ends >= FATAL,
            false => suspect.ends > 0 && (parked || suspect.key.seq >= recovered.books[index].low),
        }
    });
    suspects
}

impl Careful {
    /// What the file beside the store says of the last process, for a store that was just opened for the first time.
    pub(super) fn recover(&self, directory: &Path, recovered: &Recovered) {
        self.state().suspects = count(read(directory, recovered.store), recovered);
        let path = directory.join(FILE);
        match OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path) {
            Ok(file) => *self.file() = Some(file),
            Err(error) => said(&error),
        }
        self.write(recovered.store);
    }

    /// Bars what ended the process whenever it was tried.
    pub(super) fn bar(&self, recovered: &mut Recovered) {
        let state = self.state();
        for suspect in state.suspects.iter().filter(|suspect| suspect.ends >= FATAL) {
            let parked = &mut recovered.parked[suspect.signal.index()];
            if let Some((_, held)) = parked.iter_mut().find(|(key, _)| *key == suspect.key) {
                held.barred = true;
            }
        }
    }

    /// From now on one batch at a time, if there is any.
    pub(super) fn begin(&self, books: &[Ledger; 3]) {
        let queued: u64 = books.iter().map(|books| books.queued_batches - books.parked_batches).sum();
        if queued == 0 {
            return;
        }
        let left = queued.min(BATCHES);
        let mut state = self.state();
        tracing::info!(
            batches = left,
            within_s = WITHIN.as_secs(),
            suspects = state.suspects.len(),
            "the last process did not close the queue: batches are sent one at a time at first"
        );
        let next_seq = books.each_ref().map(|books| books.next_seq);
        state.phase = Some(Phase { until: Instant::now() + WITHIN, left, next_seq, taken: false, missed: false });
        self.active.store(true, Relaxed);
    }

    /// Takes the turn, unless somebody has it.
    pub(super) fn turn(shared: &Arc<Shared>, now: Instant) -> Turn {
        match shared.careful.others(shared, now, true) {
            None if !shared.careful.active.load(Relaxed) => Turn::Free,
            None => Turn::Mine(Pass { shared: Arc::clone(shared), turn: true, out: None }),
            Some(_) => Turn::Others,
        }
    }

    /// The right to try a parked batch, which others than it need not wait for.
    pub(super) fn alone(shared: &Arc<Shared>) -> Pass {
        Pass { shared: Arc::clone(shared), turn: false, out: None }
    }

    /// Until when at most others have the turn; `None` when nobody else has it. Who hears of others is woken when it is free.
    pub(super) fn taken(&self, shared: &Arc<Shared>, now: Instant) -> Option<Instant> {
        self.others(shared, now, false)
    }

    fn others(&self, shared: &Arc<Shared>, now: Instant, take: bool) -> Option<Instant> {
        if !self.active.load(Relaxed) {
            return None;
        }
        let mut state = self.state();
        let current = state.phase.as_mut()?;
        if current.left == 0 || now >= current.until {
            state.phase = None;
            state.suspects.iter_mut().for_each(|suspect| suspect.out = false);
            self.active.store(false, Relaxed);
            drop(state);
            tracing::info!("batches are sent side by side again");
            write_soon(shared);
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

    /// Writes down the suspects as they are.
    fn write(&self, store: u64) {
        let mut file = self.file();
        let bytes = codec::encode(store, &self.state().suspects);
        if let Some(open) = file.as_ref()
            && let Err(error) = open.write_all_at(&bytes, 0)
        {
            said(&error);
            *file = None;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self) -> MutexGuard<'_, Option<File>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn said(error: &io::Error) {
    tracing::warn!(%error, "what is on its way cannot be written down: a batch that ends the process is not found out");
}

#[cfg(test)]
impl Careful {
    /// Ends it at once.
    pub(super) fn end(&self) {
        self.state().phase = None;
        self.active.store(false, Relaxed);
    }
}

/// Writes down the suspects off the runtime's threads. Once the queue is to be closed nothing of it matters any more.
fn write_soon(shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    let write = move || {
        if !shared.is_closing() {
            shared.careful.write(shared.store.load(Relaxed));
        }
    };
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(write)),
        Err(_) => write(),
    }
}

impl State {
    /// Takes note that a batch is out. Of too many suspects the least suspicious is forgotten.
    fn out(&mut self, signal: Signal, key: Key) {
        match self.suspects.iter_mut().find(|suspect| suspect.is(signal, key)) {
            Some(suspect) => suspect.out = true,
            None => self.suspects.push(Suspect { signal, key, ends: 0, out: true }),
        }
        if self.suspects.len() > REMEMBERED
            && let Some((least, _)) = self
                .suspects
                .iter()
                .enumerate()
                .filter(|(_, suspect)| !suspect.out)
                .min_by_key(|(_, suspect)| suspect.ends)
        {
            self.suspects.remove(least);
        }
    }

    /// Takes note that it came back.
    fn back(&mut self, signal: Signal, key: Key) {
        self.suspects.retain_mut(|suspect| {
            suspect.out &= !suspect.is(signal, key);
            suspect.out || suspect.ends > 0
        });
    }
}

impl Pass {
    /// How often the process ended while that batch was on its way.
    pub(super) fn ends(&self, signal: Signal, key: Key) -> u8 {
        let state = self.shared.careful.state();
        state.suspects.iter().find(|suspect| suspect.is(signal, key)).map_or(0, |suspect| suspect.ends)
    }

    /// Writes down that the batch is about to go out.
    pub(super) async fn write_down(&mut self, signal: Signal, key: Key) {
        {
            let mut state = self.shared.careful.state();
            if self.turn && state.phase.is_none() {
                return; // it is over
            }
            state.out(signal, key);
        }
        self.out = Some((signal, key));
        let shared = Arc::clone(&self.shared);
        let write = tokio::task::spawn_blocking(move || shared.careful.write(shared.store.load(Relaxed)));
        let _ = write.await; // it does not panic, and is not cancelled while anybody waits for it
    }

    /// The batch was settled, or put aside: it is no suspect any more.
    pub(super) fn settled(&self, signal: Signal, key: Key) {
        let mut state = self.shared.careful.state();
        state.suspects.retain(|suspect| !suspect.is(signal, key));
        if let Some(phase) = state.phase.as_mut().filter(|_| self.turn) {
            let older = key.seq < phase.next_seq[signal.index()];
            phase.left -= u64::from(older && phase.left > 0);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.shared.careful.state();
        let mut missed = false;
        if let Some(phase) = state.phase.as_mut().filter(|_| self.turn) {
            phase.taken = false;
            missed = std::mem::take(&mut phase.missed);
        }
        if let Some((signal, key)) = self.out {
            state.back(signal, key);
            drop(state);
            write_soon(&self.shared);
        }
        if missed {
            for ready in &self.shared.ready {
                ready.notify_one();
            }
        }
    }
}
