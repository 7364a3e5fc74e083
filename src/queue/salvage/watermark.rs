//! What is known of the store when the store is gone: a small file beside it, replaced as a whole.
//!
//! Version (1), store id (8), epoch (8), then a ledger of each signal behind its length (4); CRC32C (4). It is written at
//! each open, now and then while the queue runs, and when it is closed. It is read when the store is damaged or behind it:
//! the store's own word counts unless less came in by it than by this. Where batches are acknowledged before they are
//! synced, that is what a loss of power took.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::progress;
use crate::batch::Signal;
use crate::config::Durability;
use crate::queue::codec::{Garbled, Reader, books};
use crate::queue::ledger::Ledger;
use crate::queue::shared::Shared;
use crate::repeats::Repeats;

/// How often it is brought up to date while the queue runs: at most this much is not known after a total loss,
const SYNCED: Duration = Duration::from_secs(10);
/// or, where batches are acknowledged before they are synced, after each loss of power.
const UNSYNCED: Duration = Duration::from_millis(900);

const FILE: &str = "spillway.watermark";
const VERSION: u8 = 1;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::queue) struct Watermark {
    pub store: u64,
    pub epoch: u64,
    pub books: [Ledger; 3],
}

/// Keeps the file up to date. A failure costs what could be said after a loss.
pub(in crate::queue) struct Keeping {
    directory: PathBuf,
    every: Duration,
    last: Option<(Instant, [Ledger; 3])>,
    unwritten: Repeats,
}

impl Keeping {
    /// For a directory, and what an OK survives in there.
    pub(in crate::queue) fn of(directory: &Path, durability: Durability) -> Keeping {
        let every = if durability == Durability::Fsync { SYNCED } else { UNSYNCED };
        Keeping { directory: directory.to_owned(), every, last: None, unwritten: Repeats::default() }
    }

    /// Writes the books as last committed, unless that was done lately.
    pub(in crate::queue) fn keep(&mut self, shared: &Shared) {
        if self.last.is_none_or(|(at, _)| at.elapsed() >= self.every) {
            self.write(shared);
        }
    }

    /// Writes the books as last committed, unless they stand there.
    pub(in crate::queue) fn write(&mut self, shared: &Shared) {
        let books = Signal::ALL.map(|signal| shared.lanes(signal).books);
        if self.last.is_some_and(|(_, written)| written == books) {
            return;
        }
        let (store, epoch) = (shared.store.load(Relaxed), u64::from(shared.epoch.load(Relaxed)));
        if let Err(error) = (Watermark { store, epoch, books }).write(&self.directory)
            && let Some(held_back) = self.unwritten.tell()
        {
            tracing::warn!(%error, held_back, "the watermark beside the store cannot be written");
        }
        self.last = Some((Instant::now(), books));
    }
}

impl Watermark {
    /// The watermark of a directory, or where [`progress`] knows more, that; `None` where nothing reads.
    pub(in crate::queue) fn read(directory: &Path) -> Option<Watermark> {
        let bytes = fs::read(directory.join(FILE)).ok();
        let kept = bytes.and_then(|bytes| Watermark::decode(&bytes).ok());
        kept.into_iter().chain(progress::read(directory)).max_by_key(Watermark::came)
    }

    /// How far it got.
    pub(super) fn came(&self) -> u64 {
        self.books.iter().map(came).sum()
    }

    /// Written beside and renamed into place, synced: the file is whole or as it was.
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        replace(directory, FILE, &self.encode())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(self.store.to_le_bytes());
        bytes.extend(self.epoch.to_le_bytes());
        for ledger in self.books.iter().map(books::encode) {
            bytes.extend((ledger.len() as u32).to_le_bytes());
            bytes.extend(ledger);
        }
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Watermark, Garbled> {
        let (content, crc) = bytes.split_last_chunk().ok_or(Garbled("watermark is too short"))?;
        let mut reader = Reader(content);
        if u32::from_le_bytes(*crc) != crc32c::crc32c(content) || reader.u8()? != VERSION {
            return Err(Garbled("watermark does not match its checksum"));
        }
        let (store, epoch) = (reader.u64()?, reader.u64()?);
        let mut read = <[Ledger; 3]>::default();
        for ledger in &mut read {
            let len = reader.u32()? as usize;
            *ledger = books::decode(reader.take(len)?)?;
        }
        Ok(Watermark { store, epoch, books: read })
    }
}

/// Replaces a file of the directory by one of that content, synced.
pub(super) fn replace(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let draft = directory.join(format!("{name}.new"));
    let mut file = File::create(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&draft, directory.join(name))?;
    File::open(directory)?.sync_all()
}

/// How far a ledger got, by what came in: that was synced before anybody was told, which settles need not be.
pub(in crate::queue) fn came(ledger: &Ledger) -> u64 {
    ledger.accepted + ledger.imported
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: a watermark is written, and each of its bits is flipped. Guarantee: it reads as written or not at all.
    #[test]
    fn it_reads_as_it_was_written_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let books = [1, 2, 3].map(|next_seq| Ledger { next_seq, accepted: 9, ..Ledger::default() });
        let watermark = Watermark { store: 7, epoch: 8, books };
        watermark.write(directory.path()).unwrap();
        assert_eq!(Watermark::read(directory.path()), Some(watermark.clone()));
        let whole = watermark.encode();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Watermark::decode(&bytes).is_err(), "bit {bit}");
        }
    }
}
