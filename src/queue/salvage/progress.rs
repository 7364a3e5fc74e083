//! How far the books are, group by group: what tells a log that was cut short from one that ends where the process did.
//!
//! After each synced group the [`Watermark`] of that moment is written into a file of two slots, in turn, and not synced: a kill
//! leaves it to the kernel, and after a loss of power an older one says less, never anything wrong, since the group was on disk
//! before. So whatever it knows of and the store does not is damage.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use super::watermark::Watermark;
use crate::queue::ledger::Ledger;
use crate::queue::shared::Shared;

const FILE: &str = "spillway.progress";
/// Each slot has a page of its own.
const SLOT: usize = 4096;

/// The file, open to be written.
#[derive(Debug)]
pub(in crate::queue) struct Progress {
    file: File,
    turn: u64,
}

impl Progress {
    pub(in crate::queue) fn open(directory: &Path) -> io::Result<Progress> {
        let path = directory.join(FILE);
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        Ok(Progress { file, turn: 0 })
    }

    /// Writes down where the books are, after a group that was synced.
    pub(in crate::queue) fn note(&mut self, shared: &Shared, books: [Ledger; 3]) -> io::Result<()> {
        let (store, epoch) = (shared.store.load(Relaxed), u64::from(shared.epoch.load(Relaxed)));
        self.write(&Watermark { store, epoch, books })
    }

    fn write(&mut self, watermark: &Watermark) -> io::Result<()> {
        let content = watermark.encode();
        let slot = [&(content.len() as u32).to_le_bytes(), content.as_slice()].concat();
        self.turn += 1;
        self.file.write_all_at(&slot, (self.turn % 2) * SLOT as u64)
    }
}

/// What was written last, as far as it can be read.
pub(super) fn read(directory: &Path) -> Option<Watermark> {
    let bytes = fs::read(directory.join(FILE)).ok()?;
    let slots = bytes.chunks(SLOT).filter_map(|slot| {
        let (len, rest) = slot.split_first_chunk()?;
        Watermark::decode(rest.get(..u32::from_le_bytes(*len) as usize)?).ok()
    });
    slots.max_by_key(Watermark::came)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watermark(accepted: u64) -> Watermark {
        Watermark { store: 1, epoch: 2, books: [Ledger { accepted, ..Ledger::default() }; 3] }
    }

    /// Scenario: watermarks are written one after another, and each bit of the file is flipped. Guarantee: the last one is read, or
    /// the one before it where that is hit.
    #[test]
    fn the_last_one_that_is_whole_is_read() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()), None);
        let mut progress = Progress::open(directory.path()).unwrap();
        for accepted in 1..=5 {
            progress.write(&watermark(accepted)).unwrap();
            assert_eq!(read(directory.path()), Some(watermark(accepted)));
        }
        let path = directory.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        for bit in (0..whole.len() * 8).filter(|bit| whole[bit / 8] != 0) {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, bytes).unwrap();
            assert!([Some(watermark(5)), Some(watermark(4))].contains(&read(directory.path())), "bit {bit}");
        }
    }
}
