//! The keeping thread: measures the disk, gives space back, and looks up the age of the oldest batch.
//!
//! Space comes back only through flush and compaction: without them the queue empties and the disk stays full.

use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use std::{fs, io};

use super::codec::twin::Twin;
use super::salvage::watermark;
use super::shared::{Fuse, Shared};
use super::space::Measurement;
use super::store::{Engine, Family, keys};
use crate::batch::{Key, Signal};
use crate::tally::Counter;

/// How often the disk is looked at, at least: a listing of some hundred files.
const EVERY: Duration = Duration::from_secs(1);
/// What the keeping thread owns.
pub(super) struct Keeper {
    pub engine: Arc<dyn Engine>,
    pub shared: Arc<Shared>,
    pub store: PathBuf,
    last: Instant,
    /// Below this a signal was reclaimed.
    reclaimed: [Key; 3],
    settled: u64,
}

impl Keeper {
    /// A keeper that begins now.
    pub(super) fn new(engine: Arc<dyn Engine>, shared: Arc<Shared>, store: PathBuf) -> Keeper {
        let settled = shared.counts.settled_bytes.iter().map(Counter::get).sum();
        Keeper { engine, shared, store, last: Instant::now(), reclaimed: [Key::new(0); 3], settled }
    }

    /// Works until the shared pulse ends.
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _fuse = Fuse(&shared);
        let directory = self.store.parent().unwrap_or(&self.store).to_owned();
        let mut kept = watermark::keep(&directory, &shared, None);
        while shared.pulse.pause(EVERY) {
            kept = watermark::keep(&directory, &shared, Some(kept));
            self.measure();
            for signal in Signal::ALL {
                self.find_oldest(signal);
                if shared.reclaim_is_due(signal) && shared.is_open() {
                    self.reclaim(signal);
                }
            }
        }
        watermark::keep(&directory, &shared, None);
    }

    /// Looks at the disk.
    pub(super) fn measure(&mut self) {
        let counts = &self.shared.counts;
        let appended = self.shared.space.appended();
        let used = match bytes_in(&self.store) {
            Ok(used) => used.saturating_sub(counts.dead_bytes.load(Relaxed)),
            Err(error) => {
                return tracing::warn!(%error, store = %self.store.display(), "the store's size cannot be read");
            }
        };
        let volume = rustix::fs::statvfs(&self.store).ok();
        let seen = Measurement {
            used,
            free: volume.as_ref().map(|volume| volume.f_bavail * volume.f_frsize),
            volume: volume.as_ref().map(|volume| volume.f_blocks * volume.f_frsize),
            appended,
        };
        let settled: u64 = counts.settled_bytes.iter().map(Counter::get).sum();
        let seconds = self.last.elapsed().as_secs_f64().max(0.001);
        let drained = ((settled - self.settled) as f64 / seconds) as u64;
        (self.settled, self.last) = (settled, Instant::now());
        self.shared.space.measured(seen, drained);
    }

    fn reclaim(&mut self, signal: Signal) {
        let (begun, settled) = (Instant::now(), self.shared.counts.settled_bytes[signal.index()].get());
        let (from, to, low) = {
            let mut lanes = self.shared.lanes(signal);
            (self.reclaimed[signal.index()], lanes.scanned(), lanes.low())
        };
        if let Err(error) = self.engine.reclaim(signal, from, to) {
            // A flush that fails leaves the store without writes: say so before the next group finds out.
            return self.shared.fail(&error);
        }
        self.reclaimed[signal.index()] = low;
        self.measure();
        self.shared.reclaimed(signal, begun, settled);
    }

    fn find_oldest(&self, signal: Signal) {
        let books = self.shared.lanes(signal).books;
        let mut oldest = 0;
        if books.queued_batches > 0 {
            let (from, to) = (keys::of(signal, Key::new(books.low)), keys::of(signal, Key::new(u64::MAX)));
            let walked = self.engine.walk(Family::Index, from.as_ref(), to.as_ref(), &mut |_, value| {
                oldest = Twin::decode(value).map_or(0, |twin| twin.received_at_ms);
                ControlFlow::Break(())
            });
            if walked.is_err() {
                return; // the reading thread says it when it needs the place
            }
        }
        self.shared.counts.oldest_ms[signal.index()].store(oldest, Relaxed);
    }
}

/// Bytes that the files of a directory take on disk. A file that vanishes meanwhile takes none.
pub(super) fn bytes_in(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        bytes += entry?.metadata().map_or(0, |metadata| metadata.blocks() * 512);
    }
    Ok(bytes)
}
