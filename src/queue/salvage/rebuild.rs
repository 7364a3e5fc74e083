//! A store made anew from what is left of one that cannot be used.
//!
//! Its logs, its blob files and its tables are three witnesses. The logs and the blob files hold records that prove
//! themselves by their checksums. Which of them are live is told by the tables of the index, by the removals in the logs and
//! by the ledgers' `low`; where none of them says so, a record counts as live: it is sent again rather than lost.
//!
//! A blob file that was read as a whole is removed once its records are in the new store and synced, so this takes the room
//! of one file and not that of the backlog. It may be killed at any point and goes on: a record that is there is not put
//! again.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::blobs::{self, Found};
use super::changes::Change;
use super::watermark::came;
use super::{manifest, wal};
use crate::batch::{Key, Signal};
use crate::queue::codec::{meta, parked::Parked, record, twin::Twin};
use crate::queue::error::StoreError;
use crate::queue::intervals::Intervals;
use crate::queue::ledger::Ledger;
use crate::queue::recount::read_books;
use crate::queue::store::remains::Remains;
use crate::queue::store::{Changes, Engine, Family, View, keys};

/// Records are written to the new store in sets of about so many bytes.
const AT_ONCE: usize = 4 << 20;

/// Where the logs of a damaged store go, so that its tables can be opened without them.
const LOGS: &str = "logs";
/// Where links to its tables go, if they have to be repaired.
const LINKS: &str = "tables";

/// Moves what a damaged store holds into a new one; items, by signal, that the index names and nothing else holds.
pub(super) fn salvage(from: &Path, into: &dyn Engine, gaps: &mut Vec<wal::Gap>) -> Result<[u64; 3], StoreError> {
    let logs = from.join(LOGS);
    fs::create_dir_all(&logs)?;
    for log in wal::logs(from)? {
        if let Some(name) = log.file_name() {
            fs::rename(&log, logs.join(name))?;
        }
    }
    let scan = wal::scan(&logs)?;
    let (remains, whole) = remains(from, scan.first);
    let mut fill = Fill {
        into,
        remains,
        whole: whole && !scan.foreign,
        gaps: gaps.to_vec(),
        books: [None; 3],
        taken: Default::default(),
        letters_taken: HashSet::new(),
        parked: HashMap::new(),
        changes: into.begin(AT_ONCE),
        bytes: 0,
        staged: HashSet::new(),
    };
    fill.heads()?;
    fill.gaps.extend(wal::gaps(&logs, fill.books)?);
    fill.gaps.dedup(); // the note may know some already
    fill.whole &= scan.holes == 0 || !fill.gaps.is_empty();
    fill.survey(&logs)?;
    fill.records(&logs)?;
    for file in wal::files(from, "blob")? {
        fill.blobs(&file)?;
    }
    *gaps = std::mem::take(&mut fill.gaps);
    fill.finish()
}

/// What the tables can tell, and whether what they do not know of is not there.
fn remains(from: &Path, first: Option<u64>) -> (Option<Remains>, bool) {
    let last = manifest::head(from).ok().and_then(|head| head.last_sequence);
    let up_to_date = last.is_some_and(|last| first.is_none_or(|first| first <= last + 1));
    match Remains::open(from) {
        Ok(remains) if up_to_date => return (Some(remains), true),
        Ok(_) => tracing::warn!("the MANIFEST of the damaged store is older than its logs"),
        Err(error) => {
            tracing::warn!(%error, "the damaged store cannot be opened to be read: its tables are looked at one by one");
        }
    }
    match Remains::repaired(from, &from.join(LINKS)) {
        Ok(remains) => (Some(remains), false),
        Err(error) => {
            tracing::warn!(%error, "the tables of the damaged store tell nothing");
            (None, false)
        }
    }
}

struct Fill<'e> {
    into: &'e dyn Engine,
    remains: Option<Remains>,
    /// Whether a key that the index does not hold is known to be settled, outside of the gaps.
    whole: bool,
    gaps: Vec<wal::Gap>,
    /// The newest ledgers found.
    books: [Option<Ledger>; 3],
    /// Records that the logs remove; dead letters and parked batches likewise.
    taken: [Intervals; 3],
    letters_taken: HashSet<(Family, Vec<u8>)>,
    /// What the index says of parked batches, by the logs.
    parked: HashMap<Vec<u8>, Vec<u8>>,
    changes: Box<dyn Changes + 'e>,
    bytes: usize,
    /// Keys in `changes`.
    staged: HashSet<(Family, Vec<u8>)>,
}

impl Fill<'_> {
    /// Small values out of the tables: ledgers, owed intervals, whatever else the head of the store holds.
    fn heads(&mut self) -> Result<(), StoreError> {
        let Some(remains) = self.remains.take() else { return Ok(()) };
        let mut found = Vec::new();
        for signal in Signal::ALL {
            walk_past_damage(&remains, Family::Owed, signal, &mut |key, value| {
                found.push((Family::Owed, key.to_vec(), value.to_vec()));
            });
        }
        let walked = remains.walk(Family::Meta, &[0], &[u8::MAX], &mut |key, value| {
            found.push((Family::Meta, key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        });
        if let Err(error) = walked {
            tracing::warn!(%error, "part of the damaged store's head is lost");
        }
        for (family, key, value) in found {
            self.small(Change::Put(family, &key, &value));
        }
        self.remains = Some(remains);
        self.flush()
    }

    /// A change of a small value that is written again and again.
    fn small(&mut self, change: Change<'_>) {
        for signal in Signal::ALL {
            if let Some(ledger) = wal::ledger(&change, signal) {
                let newest = &mut self.books[signal.index()];
                if newest.is_none_or(|newest| age(&newest) <= age(&ledger)) {
                    *newest = Some(ledger);
                }
                return;
            }
        }
        match change {
            // The first are counted anew, the last is none of the past's business.
            Change::Put(Family::Meta, key, _) if key == keys::DEAD || key == super::reckon::SALVAGED => {}
            Change::Put(family @ (Family::Meta | Family::Owed), key, value) if means_something(family, key, value) => {
                self.changes.set(family, key, value);
            }
            Change::Remove(family @ (Family::Meta | Family::Owed), key) => self.changes.delete(family, key),
            _ => {}
        }
    }

    /// What the logs change and remove.
    fn survey(&mut self, logs: &Path) -> Result<(), StoreError> {
        wal::replay(logs, |changes| {
            for change in changes {
                match change {
                    Change::Remove(Family::Index, key) => {
                        if let Some((signal, key)) = keys::parse(key) {
                            let empty = |a: Key, b: Key| keys::after(a) == b;
                            self.taken[signal.index()].insert(key, empty, &mut Vec::new());
                        }
                    }
                    Change::Remove(family @ (Family::Dead | Family::Parked), key) => {
                        self.letters_taken.insert((*family, key.to_vec()));
                    }
                    Change::Put(Family::Index, key, entry) if keys::parse_parked(key).is_some() => {
                        self.parked.insert(key.to_vec(), entry.to_vec());
                    }
                    other => self.small(*other),
                }
            }
            Ok(())
        })?;
        for signal in Signal::ALL {
            let found = read_books(self.into, signal)?; // of a salvage that was killed
            let newest = self.books[signal.index()].get_or_insert(found);
            if age(&found) > age(newest) {
                *newest = found;
            }
        }
        self.flush()
    }

    /// Records, dead letters and parked batches out of the logs.
    fn records(&mut self, logs: &Path) -> Result<(), StoreError> {
        let mut failed = Ok(());
        wal::replay(logs, |changes| {
            for change in changes {
                if let Change::Put(family, key, value) = change
                    && let Some((signal, at)) = record_key(*family, key)
                    && !self.is_taken(*family, signal, at, key)
                {
                    failed = self.put(*family, signal, at, key, value).map(|_| ());
                }
                if failed.is_err() {
                    return Err(io::ErrorKind::Other.into());
                }
            }
            Ok(())
        })
        .or_else(|error| failed.clone().and(Err(error.into())))?;
        self.flush()
    }

    /// Records, dead letters and parked batches out of a blob file.
    fn blobs(&mut self, path: &Path) -> Result<(), StoreError> {
        let file = match fs::read(path) {
            Ok(file) => file,
            Err(error) => {
                tracing::error!(%error, file = %path.display(), "a blob file cannot be read: what it held is counted as missing");
                return Ok(());
            }
        };
        let (family, mut bad) = (blobs::family(&file), 0);
        for found in blobs::read(&file) {
            let Found::Record { key, value } = found else {
                let Found::Bad(bytes) = found else { continue };
                bad += bytes;
                continue;
            };
            // By the record itself where the file's header is damaged.
            let signal = value.get(1).and_then(|signal| Signal::ALL.get(usize::from(*signal))).copied();
            let plain = matches!(key.len(), 8 | 10);
            let guess = if plain { signal.map(Family::Records) } else { Some(Family::Dead) };
            if let Some(family) = family.or(guess)
                && let Some((signal, at)) = record_key(family, key)
                && self.is_live(family, signal, at, key)
                && !self.put(family, signal, at, key, value)?
            {
                bad += value.len();
            }
        }
        self.flush()?;
        self.into.sync()?;
        match bad {
            0 => fs::remove_file(path)?,
            _ => tracing::error!(bytes = bad, file = %path.display(), "part of a blob file is not what was written"),
        }
        Ok(())
    }

    fn is_taken(&self, family: Family, signal: Signal, at: Key, key: &[u8]) -> bool {
        match family {
            Family::Records(_) => {
                let low = self.books[signal.index()].map_or(0, |books| books.low);
                at.seq < low || self.taken[signal.index()].contains(at)
            }
            _ => self.letters_taken.contains(&(family, key.to_vec())),
        }
    }

    /// Whether a record is to be kept, as far as anybody knows.
    fn is_live(&self, family: Family, signal: Signal, at: Key, key: &[u8]) -> bool {
        if self.is_taken(family, signal, at, key) {
            return false;
        }
        let indexed = match (&self.remains, family) {
            (None, _) => return true,
            (Some(remains), Family::Records(_)) => remains.get(Family::Index, keys::of(signal, at).as_ref()),
            (Some(remains), _) => remains.get(family, key),
        };
        let in_gap = self.gaps.iter().any(|gap| gap.signal == signal && (gap.from..gap.to).contains(&at.seq));
        !matches!(indexed, Ok(None)) || !self.whole || in_gap
    }

    /// Puts a record with its twin, or a letter, unless it is there; `false` where it is not what was written.
    fn put(&mut self, family: Family, signal: Signal, at: Key, key: &[u8], value: &[u8]) -> Result<bool, StoreError> {
        let staged = (family, key.to_vec());
        if self.staged.contains(&staged) {
            return Ok(true);
        }
        if let Some(entry) = self.parked_entry(family, signal, at)? {
            if self.into.get(Family::Parked, key)?.is_some() {
                return Ok(true);
            }
            self.changes.put(Family::Index, keys::parked(signal, at).as_ref(), &entry, &[]);
        } else if matches!(family, Family::Records(_) | Family::Parked) {
            let index = keys::of(signal, at);
            if self.into.get(Family::Index, index.as_ref())?.is_some() {
                return Ok(true);
            }
            // A suspect of which nothing else is known stands in line again.
            if family == Family::Parked {
                return self.put(Family::Records(signal), signal, at, at.encode().as_ref(), value);
            }
            let Ok((batch, _)) = record::decode(value.to_vec()) else { return Ok(false) };
            if batch.signal != signal {
                return Ok(false);
            }
            let twin = Twin::of(&batch, crc32c::crc32c(&batch.body), batch.received_at_ms);
            self.changes.put(Family::Index, index.as_ref(), &twin.encode(), &[]);
        } else if self.into.get(family, key)?.is_some() {
            return Ok(true);
        }
        self.changes.put(family, key, value, &[]);
        self.staged.insert(staged);
        self.bytes += value.len() + 128;
        if self.bytes >= AT_ONCE {
            self.flush()?;
        }
        Ok(true)
    }

    /// What the index says of a batch that is parked.
    fn parked_entry(&self, family: Family, signal: Signal, at: Key) -> Result<Option<Vec<u8>>, StoreError> {
        let key = keys::parked(signal, at);
        let known = self.parked.get(key.as_ref()).cloned();
        Ok(match &self.remains {
            _ if family != Family::Parked => None,
            Some(remains) if known.is_none() => remains.get(Family::Index, key.as_ref()).unwrap_or(None),
            _ => known,
        }
        .filter(|entry| Parked::decode(entry).is_ok()))
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.bytes = 0;
        self.staged.clear();
        std::mem::replace(&mut self.changes, self.into.begin(AT_ONCE)).commit(false)
    }

    /// Writes the newest ledgers, and counts what the index names and nothing holds.
    fn finish(mut self) -> Result<[u64; 3], StoreError> {
        let mut missing = [0; 3];
        for signal in Signal::ALL {
            if let Some(books) = self.books[signal.index()] {
                self.changes.set(Family::Meta, &keys::books(signal), &crate::queue::codec::books::encode(&books));
            }
            let Some(remains) = &self.remains else { continue };
            let mut failed = Ok(());
            walk_past_damage(remains, Family::Index, signal, &mut |key, value| {
                let (Some((_, at)), Ok(twin)) = (keys::parse(key), Twin::decode(value)) else { return };
                if !self.is_taken(Family::Records(signal), signal, at, key) {
                    match self.into.get(Family::Index, key) {
                        Ok(None) => missing[signal.index()] += u64::from(twin.items),
                        Ok(Some(_)) => {}
                        Err(error) => failed = Err(error),
                    }
                }
            });
            failed?;
        }
        self.flush()?;
        self.into.sync()?;
        Ok(missing)
    }
}

/// Signal and place of a key in a family that holds bodies; `None` in others, and for what is no key.
fn record_key(family: Family, key: &[u8]) -> Option<(Signal, Key)> {
    match family {
        Family::Records(signal) => Some((signal, Key::decode(key)?)),
        Family::Dead | Family::Parked => keys::parse(key),
        _ => None,
    }
}

/// Whether a small value is one that an open can read: it would be refused at each open otherwise.
fn means_something(family: Family, key: &[u8], value: &[u8]) -> bool {
    match family {
        Family::Owed => keys::parse(key).is_some() && Key::decode(value).is_some(),
        _ if key == keys::RUN => meta::Run::decode(value).is_ok(),
        _ if key == keys::STORE || key == keys::EPOCH => value.len() == size_of::<u64>(),
        _ => !Signal::ALL.into_iter().any(|signal| key == keys::books(signal)), // one that reads is taken apart
    }
}

/// Ledgers of one signal in the order in which they were written.
fn age(books: &Ledger) -> (u64, u64) {
    (came(books), books.delivered + books.rejected + books.dead_total() + books.dropped_total())
}

/// Walks a signal's part of a family, on and on: where a block is damaged, the next good one is looked for in leaps.
fn walk_past_damage(view: &dyn View, family: Family, signal: Signal, visit: &mut dyn FnMut(&[u8], &[u8])) {
    let (mut from, mut leap) = (0u64, 1u64);
    let end = keys::of(signal, Key::new(u64::MAX));
    while from < u64::MAX {
        let mut last = None;
        let walked = view.walk(family, keys::of(signal, Key::new(from)).as_ref(), end.as_ref(), &mut |key, value| {
            last = keys::parse(key);
            visit(key, value);
            ControlFlow::Continue(())
        });
        if walked.is_ok() {
            return;
        }
        if let Some((_, key)) = last {
            (from, leap) = (key.seq, 1);
        }
        from = from.saturating_add(leap);
        leap = leap.saturating_mul(2);
    }
}

/// Damaged stores in a directory for damaged files, in the order in which they were set aside.
pub(super) fn sources(aside: &Path) -> Vec<PathBuf> {
    (1..).map(|number| source(aside, number)).take_while(|path| path.exists()).collect()
}

/// The place of one.
pub(super) fn source(aside: &Path, number: usize) -> PathBuf {
    aside.join(format!("store-{number}"))
}
