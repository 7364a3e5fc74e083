//! A store that is not what was written: found out before it is opened, and opened all the same.
//!
//! RocksDB cuts a write-ahead log off at its first bad record, and makes an empty store where its CURRENT is gone. So the
//! files are looked at before RocksDB is let near them. What is wrong is mended by the least that will do: logs are written
//! anew without their bad records; a store that cannot be opened, or whose keys cannot be read, is set aside and made anew
//! from what is left of it. Either way the books are counted anew and the difference is booked: never silently, never netted.
//!
//! | file | what lives there |
//! |---|---|
//! | `log`, `changes`, `wal`, `manifest`, `blobs` | RocksDB's files, read without RocksDB |
//! | `note` | what is being done, so that it survives a kill |
//! | `watermark`, `progress` | what is known when all else is gone |
//! | `rebuild`, `reckon` | the store made anew, the books after it |
//!
//! It runs before any thread of the queue, under the directory's lock. It knows no lease, no lane and no client.

mod blobs;
pub(super) mod changes;
mod log;
mod manifest;
mod note;
pub(super) mod progress;
mod rebuild;
mod reckon;
pub(super) mod wal;
pub(super) mod watermark;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use self::note::Note;
use self::watermark::{Watermark, came};
use super::codec::meta;
use super::directory::Directory;
use super::error::StoreError;
use super::memory::Budget;
use super::recount::{read_books, read_intervals};
use super::store::rocks::Rocks;
use super::store::{Engine, Family, View, keys};
use crate::batch::Signal;
use crate::config::Durability;

/// Damaged files of so many salvages are kept.
const KEPT: u32 = 3;

/// Looks at the store in a directory, mends it where it is damaged, and opens it with books that balance.
///
/// Fails where the disk does, or where the store is of a newer release: it is left as it is then.
pub(super) fn open(directory: &Directory, budget: &Budget) -> Result<Rocks, StoreError> {
    let (root, store) = (root(directory), directory.store());
    let watermark = Watermark::read(root);
    let mut note = before_open(root, store, watermark.as_ref())?;
    let mut opened = None;
    if note.as_ref().is_none_or(|note| !note.rebuild) {
        match Rocks::open(store, budget).and_then(|rocks| check(&rocks).map(|()| rocks)) {
            Ok(rocks) if note.is_none() && is_behind(&rocks, watermark.as_ref())? => {
                note = Some(begin(root, Note::new("the store lacks what was written last", false))?);
                opened = Some(rocks);
            }
            Ok(rocks) => opened = Some(rocks),
            Err(error) if error.is_damaged() => {
                let found = note.take().unwrap_or_else(|| Note::new(error.to_string(), true));
                note = Some(begin(root, Note { rebuild: true, ..found })?);
            }
            Err(error) => return Err(error),
        }
    }
    let (rocks, missing) = match (opened, &mut note) {
        (Some(rocks), _) => (rocks, [0; 3]),
        (None, note) => rebuild(root, store, budget, note.get_or_insert_with(|| Note::new("damaged", true)))?,
    };
    if let Some(note) = note {
        reckon::reckon(&rocks, &note, watermark.as_ref(), missing)?;
        Note::remove(root)?;
    }
    Ok(rocks)
}

/// Notes that the store has to be made anew at the next open, if `error` says that damage was met while it was in use.
pub(super) fn request(directory: &Directory, error: &StoreError) {
    if error.is_damaged()
        && let Err(error) = begin(root(directory), Note::new(error.to_string(), true))
    {
        tracing::error!(%error, "the store is damaged, and that cannot be noted: the next open may meet it again");
    }
}

/// Brings the books of an open store into line with what lies there: the count decides, and the difference is booked.
pub(super) fn settle(engine: &dyn Engine, why: &str) -> Result<(), StoreError> {
    reckon::reckon(engine, &Note::new(why, false), None, [0; 3])
}

/// What is wrong with the files of a store, with the logs mended; nothing in most cases.
fn before_open(root: &Path, store: &Path, watermark: Option<&Watermark>) -> Result<Option<Note>, StoreError> {
    if let Some(note) = Note::read(root)? {
        return Ok(Some(note));
    }
    if let Some(why) = lacks_its_head(store, watermark)? {
        return Ok(Some(begin(root, Note::new(why, true))?));
    }
    let scan = wal::scan(store)?;
    if scan.foreign {
        return Ok(None);
    }
    let last = manifest::head(store).ok().and_then(|head| head.last_sequence); // one that cannot be read is RocksDB's to refuse
    if let (Some(last), Some(first)) = (last, scan.first)
        && first > last + 1
    {
        let why = format!("the MANIFEST ends at sequence {last}, the write-ahead log begins at {first}");
        return Ok(Some(begin(root, Note { gaps: wal::gaps(store, [None; 3])?, ..Note::new(why, true) })?));
    }
    if scan.holes == 0 {
        if scan.bad_bytes > 0 {
            let bytes = scan.bad_bytes;
            tracing::warn!(bytes, "the end of the write-ahead log is torn and cut off, as a loss of power leaves it");
        }
        wal::cut(&scan.leftovers)?;
        return Ok(None);
    }
    let why = format!("{} holes in the write-ahead log, {} bytes of it are bad", scan.holes, scan.bad_bytes);
    let (number, aside) = set_aside(root)?;
    let note = Note { gaps: wal::gaps(store, [None; 3])?, aside: Some(number), ..Note::new(why, false) };
    let note = begin(root, note)?;
    let kept_bytes = wal::mend(store, &aside)?;
    wal::cut(&wal::scan(store)?.leftovers)?;
    tracing::error!(damage = note.why, aside = %aside.display(), kept_bytes, "the write-ahead log is damaged: mended");
    Ok(Some(note))
}

/// RocksDB makes a new store where CURRENT is gone, and removes what it does not know of. Says why that must not be.
fn lacks_its_head(store: &Path, watermark: Option<&Watermark>) -> io::Result<Option<String>> {
    if store.join("CURRENT").exists() {
        return Ok(None);
    }
    let mut logged = 0;
    for log in wal::logs(store)? {
        logged += fs::metadata(log)?.len();
    }
    let files = wal::files(store, "sst")?.len() + wal::files(store, "blob")?.len();
    // A process that was killed in its first moments leaves a directory without CURRENT, too, and nothing to lose.
    let lost = watermark.is_some() || files > 0 || logged > 0;
    Ok(lost.then(|| "the store lacks its file CURRENT".to_owned()))
}

/// Sets the store aside and makes a new one of what is left; that, and the items that are known to be missing.
fn rebuild(root: &Path, store: &Path, budget: &Budget, note: &mut Note) -> Result<(Rocks, [u64; 3]), StoreError> {
    let aside = match note.aside {
        Some(number) => root.join(damaged(number)),
        None => {
            let (number, aside) = set_aside(root)?;
            note.aside = Some(number);
            note.write(root)?;
            aside
        }
    };
    fs::create_dir_all(&aside)?;
    tracing::error!(damage = note.why, aside = %aside.display(), "the store is damaged: it is made anew from what is left");
    if rebuild::sources(&aside).is_empty() {
        move_aside(root, store, &aside)?;
    }
    let rocks = match Rocks::open(store, budget) {
        Err(error) if error.is_damaged() => {
            move_aside(root, store, &aside)?; // the new one, too
            Rocks::open(store, budget)?
        }
        opened => opened?,
    };
    let mut missing = [0; 3];
    for source in rebuild::sources(&aside) {
        for (sum, items) in missing.iter_mut().zip(rebuild::salvage(&source, &rocks, &mut note.gaps)?) {
            *sum += items;
        }
    }
    check(&rocks)?;
    prune(root, note.aside);
    Ok((rocks, missing))
}

fn move_aside(root: &Path, store: &Path, aside: &Path) -> io::Result<()> {
    let number = rebuild::sources(aside).len() + 1;
    fs::rename(store, rebuild::source(aside, number))?;
    DirBuilder::new().mode(0o700).create(store)?;
    File::open(aside)?.sync_all()?;
    File::open(root)?.sync_all()
}

/// Removes the damaged files of the oldest salvages.
fn prune(root: &Path, newest: Option<u32>) {
    for number in 1..=newest.unwrap_or(0).saturating_sub(KEPT) {
        let path = root.join(damaged(number));
        if path.exists() {
            tracing::info!(path = %path.display(), "damaged files of an earlier salvage are removed");
            let _ = fs::remove_dir_all(path); // what cannot be removed is in nobody's way
        }
    }
}

fn damaged(number: u32) -> String {
    format!("damaged-{number}")
}

/// The directory that the store, the note and the watermark lie in.
fn root(directory: &Directory) -> &Path {
    directory.store().parent().unwrap_or(directory.store())
}

fn begin(root: &Path, note: Note) -> io::Result<Note> {
    note.write(root)?;
    Ok(note)
}

/// A new directory for damaged files, and its number.
fn set_aside(root: &Path) -> io::Result<(u32, PathBuf)> {
    let mut last = 0;
    for entry in fs::read_dir(root)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("damaged-")?.parse().ok());
        last = last.max(number.unwrap_or(0));
    }
    let path = root.join(damaged(last + 1));
    DirBuilder::new().mode(0o700).create(&path)?;
    Ok((last + 1, path))
}

/// Reads what an open needs.
fn check(view: &dyn View) -> Result<(), StoreError> {
    for signal in Signal::ALL {
        read_books(view, signal)?;
        read_intervals(view, signal)?;
    }
    view.walk(Family::Meta, &[0], &[u8::MAX], &mut |_, _| ControlFlow::Continue(()))
}

/// Whether the watermark, which follows the ledgers, is ahead of one that was synced.
fn is_behind(view: &dyn View, watermark: Option<&Watermark>) -> Result<bool, StoreError> {
    let run = view.get(Family::Meta, keys::RUN)?.and_then(|run| meta::Run::decode(&run).ok());
    let (Some(watermark), Some(meta::Run::Closed | meta::Run::Open(Durability::Fsync)) | None) = (watermark, run)
    else {
        return Ok(false);
    };
    for signal in Signal::ALL {
        if came(&watermark.books[signal.index()]) > came(&read_books(view, signal)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> StoreError {
        StoreError::failed(error.to_string())
    }
}
