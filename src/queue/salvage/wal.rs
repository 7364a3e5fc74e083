//! The write-ahead logs of a store that is closed: whether they are whole, and making them so.
//!
//! Each set of changes has a sequence and a count, so the next one begins where it ends. What breaks that line is damage: a
//! bad record with another behind it, a log that is gone. What is bad with nothing behind it is the torn end of a write that
//! nobody was told OK for, as the loss of power leaves it, and RocksDB cuts it off by itself.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::changes::{self, Change};
use super::log::{Entry, LogReader, LogWriter};
use super::manifest;
use crate::batch::{Key, Signal};
use crate::queue::codec::{books, twin::Twin};
use crate::queue::ledger::Ledger;
use crate::queue::store::{Family, keys};

/// Gaps that are told apart; further ones are joined to the last.
const GAPS: usize = 256;

/// What a look at the logs found.
#[derive(Debug, Default)]
pub(in crate::queue) struct Scan {
    /// Sequence of the first change in them.
    pub first: Option<u64>,
    /// Bytes that are part of no record.
    pub bad_bytes: u64,
    /// Places where changes are missing before others that are there.
    pub holes: u32,
    /// What lies between good records was written by a store of other options, and is left to RocksDB.
    pub foreign: bool,
    /// Logs that end before their files do, and where: older logs were written over.
    pub leftovers: Vec<(PathBuf, u64)>,
}

/// Batches that were appended by changes which are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::queue) struct Gap {
    pub signal: Signal,
    /// The first sequence number that is missing, and the first that is there again.
    pub from: u64,
    pub to: u64,
    /// Items of the batches in between, by the ledgers on both sides.
    pub items: u64,
}

/// The logs in a directory that RocksDB would replay, oldest first. Older ones wait to be written over, and hold nothing that is
/// not in tables.
pub(in crate::queue) fn logs(store: &Path) -> io::Result<Vec<PathBuf>> {
    let first = manifest::head(store).ok().and_then(|head| head.first_log).unwrap_or(0); // unreadable: any may be of use
    Ok(files(store, "log")?.into_iter().filter(|log| number(log).is_some_and(|number| number >= first)).collect())
}

/// The files in a directory whose name is a number with that ending, in the order of the numbers.
pub(in crate::queue) fn files(store: &Path, ending: &str) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(store)? {
        let path = entry?.path();
        if let (Some(number), true) = (number(&path), path.extension().is_some_and(|found| found == ending)) {
            files.push((number, path));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

fn number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// Reads all logs once. Of their content it looks at each record's first twelve bytes alone.
pub(in crate::queue) fn scan(store: &Path) -> io::Result<Scan> {
    let (mut scan, mut next) = (Scan::default(), None);
    for log in logs(store)? {
        let mut entries = entries(&log)?;
        for entry in &mut entries {
            match entry? {
                Entry::Bad { bytes, .. } => scan.bad_bytes += bytes,
                Entry::Foreign => return Ok(Scan { foreign: true, ..scan }),
                Entry::Record(record) => match changes::header(&record) {
                    Some((sequence, count)) => {
                        scan.first = scan.first.or(Some(sequence));
                        scan.holes += u32::from(next.is_some_and(|next| sequence > next));
                        next = Some(sequence + u64::from(count));
                    }
                    None => scan.bad_bytes += record.len() as u64,
                },
            }
        }
        scan.leftovers.extend(entries.leftover().map(|end| (log, end)));
    }
    Ok(scan)
}

/// Cuts off what older logs left behind the ends of newer ones. RocksDB would stop there, too, but not before it took what stands
/// at that place for the head of a record: bytes out of the middle of somebody's request.
pub(in crate::queue) fn cut(leftovers: &[(PathBuf, u64)]) -> io::Result<()> {
    for (log, end) in leftovers {
        let log = File::options().write(true).open(log)?;
        log.set_len(*end)?;
        log.sync_all()?;
    }
    Ok(())
}

/// The records of all logs, in order; what is bad is passed over.
pub(in crate::queue) fn replay(store: &Path, mut visit: impl FnMut(&[Change<'_>]) -> io::Result<()>) -> io::Result<()> {
    for log in logs(store)? {
        for entry in entries(&log)? {
            if let Entry::Record(record) = entry?
                && let Some(changes) = changes::parse(&record)
            {
                visit(&changes)?;
            }
        }
    }
    Ok(())
}

/// What was appended by changes that are gone, by the ledgers that are there: each says what was accepted so far. `before` are
/// ledgers from before the logs, where they are known.
pub(in crate::queue) fn gaps(store: &Path, mut before: [Option<Ledger>; 3]) -> io::Result<Vec<Gap>> {
    let mut gaps = Vec::<Gap>::new();
    replay(store, |changes| {
        for signal in Signal::ALL {
            let Some(after) = changes.iter().find_map(|change| ledger(change, signal)) else { continue };
            if let Some(before) = before[signal.index()].replace(after)
                && let Some(gap) = gap(signal, &before, &after, changes)
            {
                let full = gaps.len() >= GAPS;
                match gaps.iter_mut().rfind(|last| full && last.signal == signal) {
                    Some(last) => *last = Gap { to: gap.to, items: last.items + gap.items, ..*last },
                    None => gaps.push(gap),
                }
            }
        }
        Ok(())
    })?;
    Ok(gaps)
}

/// The ledger of a signal that a change writes.
pub(in crate::queue) fn ledger(change: &Change<'_>, signal: Signal) -> Option<Ledger> {
    match change {
        Change::Put(Family::Meta, key, value) if *key == keys::books(signal) => books::decode(value).ok(),
        _ => None,
    }
}

/// What came in between two ledgers and is not among the changes that the second one came with.
fn gap(signal: Signal, before: &Ledger, after: &Ledger, changes: &[Change<'_>]) -> Option<Gap> {
    let (mut there, mut to) = (0, after.next_seq);
    for change in changes {
        if let Change::Put(Family::Index, key, value) = change
            && let Some((of, Key { seq, part: 0 })) = keys::parse(key)
            && (of, seq >= before.next_seq) == (signal, true)
            && let Ok(twin) = Twin::decode(value)
        {
            there += u64::from(twin.items);
            to = to.min(seq);
        }
    }
    let came = (after.accepted + after.imported).saturating_sub(before.accepted + before.imported);
    let items = came.saturating_sub(there);
    (items > 0).then_some(Gap { signal, from: before.next_seq, to, items })
}

/// Replaces each log that has bad records by one of its good ones. The log as it was stays in `aside`; the bytes kept there.
pub(in crate::queue) fn mend(store: &Path, aside: &Path) -> io::Result<u64> {
    let mut kept = 0;
    for log in logs(store)? {
        let damaged = entries(&log)?.any(|entry| matches!(entry, Ok(Entry::Bad { .. })));
        let Some(name) = log.file_name().filter(|_| damaged) else { continue };
        let draft = aside.join("mended");
        let mut writer = LogWriter::new(BufWriter::new(File::create(&draft)?));
        for entry in entries(&log)? {
            if let Entry::Record(record) = entry? {
                writer.write(&record)?;
            }
        }
        writer.into_inner().into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        let original = aside.join(name);
        if !original.exists() {
            fs::hard_link(&log, &original)?;
        }
        kept += fs::metadata(&original)?.len();
        File::open(aside)?.sync_all()?;
        fs::rename(&draft, &log)?;
    }
    File::open(store)?.sync_all()?;
    Ok(kept)
}

pub(super) fn entries(log: &Path) -> io::Result<LogReader<BufReader<File>>> {
    Ok(LogReader::new(BufReader::with_capacity(256 << 10, File::open(log)?), number(log).unwrap_or(0)))
}
