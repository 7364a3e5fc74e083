//! The keeping thread: measures the disk, keeps the ballast, gives space back, has removed what is too old or too much, and
//! looks up the age of the oldest batch.
//!
//! Space comes back only through flush and compaction: without them the queue empties and the disk stays full.

use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use std::{fs, io};

use super::ballast::{Ballast, Reserve};
use super::codec::twin::Twin;
use super::command::Command;
use super::memory::Budget;
use super::salvage::watermark::Keeping;
use super::shared::{Fuse, Shared};
use super::space::Measurement;
use super::store::{Engine, Family, keys};
use super::trim::LetterWalk;
use crate::batch::{Key, Signal};
use crate::config::QueueConfig;
use crate::repeats::Repeats;

/// How often the disk is looked at, at least: a listing of some hundred files.
const EVERY: Duration = Duration::from_secs(1);
/// Of the reserve, what is left free beside the ballast for writes that are on their way.
const MARGIN: u64 = 4;
/// Of the reserve, what must be free: with less the ballast is given up, so that settles, drops and a reclaim can be written.
const LEAST: u64 = 8;

/// What the keeping thread owns.
pub(super) struct Keeper {
    pub engine: Arc<dyn Engine>,
    pub shared: Arc<Shared>,
    pub store: PathBuf,
    watermark: Keeping,
    pub letters: LetterWalk,
    ballast: Ballast,
    /// What write-ahead logs and memtables may take.
    in_store: u64,
    /// Whether the volume cannot set blocks aside, which is said once.
    no_ballast: bool,
    complaints: Complaints,
    last: Instant,
    /// Below this a signal was reclaimed.
    reclaimed: [Key; 3],
    settled: u64,
}

/// What fails at each look as long as its reason holds.
#[derive(Debug, Default)]
struct Complaints {
    trim: Repeats,
    measure: Repeats,
    ballast: Repeats,
}

impl Keeper {
    /// A keeper that begins now.
    pub(super) fn new(
        engine: Arc<dyn Engine>,
        shared: Arc<Shared>,
        store: PathBuf,
        config: &QueueConfig,
        budget: &Budget,
    ) -> Keeper {
        let settled = settled(&shared);
        Keeper {
            engine,
            shared,
            store,
            letters: LetterWalk::default(),
            watermark: Keeping::of(&config.directory, config.durability),
            ballast: Ballast::of(&config.directory),
            in_store: budget.wal + budget.memtables,
            no_ballast: false,
            complaints: Complaints::default(),
            last: Instant::now(),
            reclaimed: [Key::new(0); 3],
            settled,
        }
    }

    /// Works until the shared pulse ends.
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _fuse = Fuse(&shared);
        self.watermark.write(&shared);
        while shared.pulse.pause(EVERY) {
            self.watermark.keep(&shared);
            self.measure();
            if let Some(reading) = shared.clock.look() {
                shared.inbox.command(Command::SaveClock(reading));
            }
            for signal in Signal::ALL {
                self.find_oldest(signal);
            }
            for family in Family::BODIES {
                if shared.reclaim_is_due(family) && shared.is_open() {
                    self.reclaim(family);
                }
            }
            if shared.is_open() {
                self.trim();
            }
        }
        self.watermark.write(&shared);
    }

    /// Has removed what is too old or too much.
    fn trim(&mut self) {
        match self.expire().and_then(|()| self.expire_letters()).and_then(|()| self.make_room()) {
            Ok(true) => Signal::ALL.into_iter().for_each(|signal| self.reclaim(Family::Records(signal))),
            Ok(false) => {}
            Err(error) if error.is_damaged() => self.shared.fail(&error),
            Err(error) => {
                if let Some(held_back) = self.complaints.trim.tell() {
                    tracing::error!(%error, held_back, "what is too old or too much cannot be found");
                }
            }
        }
    }

    /// Looks at the disk.
    pub(super) fn measure(&mut self) {
        let shared = Arc::clone(&self.shared);
        let (counts, appended) = (&shared.counts, shared.space.appended());
        let used = match bytes_in(&self.store) {
            Ok(used) => used.saturating_sub(counts.dead_bytes.load(Relaxed)),
            Err(error) => {
                if let Some(held_back) = self.complaints.measure.tell() {
                    tracing::warn!(%error, store = %self.store.display(), held_back, "the store's size cannot be read");
                }
                return;
            }
        };
        let (volume, reserved) = match volume(&self.store) {
            Some((free, size)) => self.keep_ballast(free, size),
            None => (None, 0),
        };
        let (free, volume) = volume.unzip();
        let seen = Measurement { used, free, volume, reserved, appended };
        let settled = settled(&shared);
        let seconds = self.last.elapsed().as_secs_f64().max(0.001);
        let drained = ((settled - self.settled) as f64 / seconds) as u64;
        (self.settled, self.last) = (settled, Instant::now());
        self.shared.space.measured(seen, drained);
    }

    /// Makes the ballast where there is room for it, and gives it up where there is hardly any room left. What is free then,
    /// the size of the volume, and what of the free is to be left alone.
    fn keep_ballast(&mut self, free: u64, size: u64) -> (Option<(u64, u64)>, u64) {
        let configured = self.shared.limits.now().reserve;
        let reserve = Reserve { configured, store: self.in_store }.on(size, self.shared.space.quota_of(size));
        let held = self.ballast.held();
        if held > 0 && free < reserve / LEAST {
            match self.ballast.release() {
                Ok(_) => {
                    tracing::warn!(
                        free,
                        "the volume is full: the reserve is in use, nothing is taken until it is back"
                    );
                }
                Err(error) => {
                    if let Some(held_back) = self.complaints.ballast.tell() {
                        tracing::error!(%error, held_back, "the volume is full, and the ballast cannot be removed");
                    }
                }
            }
        } else if !self.no_ballast && !self.ballast.is(reserve) && free + held >= reserve + reserve / MARGIN {
            if let Err(error) = self.ballast.hold(reserve) {
                self.no_ballast = error.kind() != io::ErrorKind::StorageFull;
                if let Some(held_back) = self.complaints.ballast.tell() {
                    tracing::warn!(%error, reserve, held_back, "no ballast can be made: as much is left free instead");
                }
            }
        } else {
            return (Some((free, size)), reserve.saturating_sub(held) + reserve / MARGIN);
        }
        (volume(&self.store), reserve.saturating_sub(self.ballast.held()) + reserve / MARGIN)
    }

    fn reclaim(&mut self, family: Family) {
        let (begun, freed) = (Instant::now(), self.shared.counts.freed_bytes[family.index()].get());
        let done = match family {
            Family::Records(signal) => {
                let (from, to, low) = {
                    let mut lanes = self.shared.lanes(signal);
                    (self.reclaimed[signal.index()], lanes.scanned(), lanes.low())
                };
                self.reclaimed[signal.index()] = low;
                self.engine.reclaim(family, from.encode().as_ref(), to.encode().as_ref())
            }
            _ => self.engine.reclaim(family, &[0], &[u8::MAX]), // what lies apart goes in no order
        };
        if let Err(error) = done {
            // A flush that fails leaves the store without writes: say so before the next group finds out.
            return self.shared.fail(&error);
        }
        self.measure();
        self.shared.reclaimed(family, begun, freed);
    }

    fn find_oldest(&self, signal: Signal) {
        let books = self.shared.lanes(signal).books;
        let mut oldest = 0;
        if books.queued_batches > 0 {
            let (from, to) = (keys::of(signal, Key::new(books.low)), keys::of(signal, Key::new(u64::MAX)));
            let walked = self.engine.walk(Family::Index, from.as_ref(), to.as_ref(), &mut |_, value| {
                oldest = Twin::decode(value).map_or(0, |twin| self.shared.clock.to_wall(twin.aged_from_ms));
                ControlFlow::Break(())
            });
            if walked.is_err() {
                return; // the reading thread says it when it needs the place
            }
        }
        self.shared.counts.oldest_ms[signal.index()].store(oldest, Relaxed);
    }
}

/// Bytes of batches that went, dead letters apart.
fn settled(shared: &Shared) -> u64 {
    let families = Family::BODIES.into_iter().filter(|family| *family != Family::Dead);
    families.map(|family| shared.counts.freed_bytes[family.index()].get()).sum()
}

/// Free bytes and size of the volume that a path lies on, if it can be asked.
fn volume(path: &Path) -> Option<(u64, u64)> {
    let volume = rustix::fs::statvfs(path).ok()?;
    Some((volume.f_bavail * volume.f_frsize, volume.f_blocks * volume.f_frsize))
}

/// Bytes that the files of a directory take on disk. A file that vanishes meanwhile takes none.
pub(super) fn bytes_in(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        bytes += entry?.metadata().map_or(0, |metadata| metadata.blocks() * 512);
    }
    Ok(bytes)
}
