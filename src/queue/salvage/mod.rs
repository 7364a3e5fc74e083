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
//! | `watermark` | what is known when all else is gone |
//! | `rebuild`, `reckon` | the store made anew, the books after it |
//!
//! It runs before any thread of the queue, under the directory's lock. It knows no lease, no lane and no client.

pub(super) mod changes;
mod log;
mod note;
mod reckon;
pub(super) mod wal;
pub(super) mod watermark;

use std::fs::DirBuilder;
use std::io;
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
use super::store::{Family, View, keys};
use crate::batch::Signal;
use crate::config::Durability;

/// Looks at the store in a directory, mends it where it is damaged, and opens it with books that balance.
///
/// Fails where the disk does, or where the store is of a newer release: it is left as it is then.
pub(super) fn open(directory: &Directory, budget: &Budget) -> Result<Rocks, StoreError> {
    let (root, store) = (root(directory), directory.store());
    let mut note = before_open(root, store)?;
    let watermark = Watermark::read(root);
    let rocks = Rocks::open(store, budget)?;
    check(&rocks)?;
    if note.is_none() && is_behind(&rocks, watermark.as_ref())? {
        note = Some(begin(root, Note::new("the store lacks what was written last", false))?);
    }
    if let Some(note) = note {
        reckon::reckon(&rocks, &note, watermark.as_ref(), [0; 3])?;
        Note::remove(root)?;
    }
    Ok(rocks)
}

/// What is wrong with the files of a store, with the logs mended; nothing in most cases.
fn before_open(root: &Path, store: &Path) -> Result<Option<Note>, StoreError> {
    if let Some(note) = Note::read(root)? {
        return Ok(Some(note));
    }
    let scan = wal::scan(store)?;
    if scan.foreign {
        return Ok(None);
    }
    if scan.holes == 0 {
        if scan.bad_bytes > 0 {
            tracing::warn!(
                bytes = scan.bad_bytes,
                "the end of the write-ahead log is torn and cut off, as a loss of power leaves it"
            );
        }
        return Ok(None);
    }
    let why = format!("{} holes in the write-ahead log, {} bytes of it are bad", scan.holes, scan.bad_bytes);
    let mut note = Note { gaps: wal::gaps(store)?, ..Note::new(why, false) };
    let (number, aside) = set_aside(root)?;
    note.aside = Some(number);
    let note = begin(root, note)?;
    let kept_bytes = wal::mend(store, &aside)?;
    tracing::error!(damage = note.why, aside = %aside.display(), kept_bytes, "the write-ahead log is damaged: mended");
    Ok(Some(note))
}

/// The directory that the store, the note and the watermark lie in.
fn root(directory: &Directory) -> &Path {
    directory.store().parent().unwrap_or(directory.store())
}

fn begin(root: &Path, note: Note) -> io::Result<Note> {
    note.write(root)?;
    Ok(note)
}

/// A new directory for damaged files.
fn set_aside(root: &Path) -> io::Result<(u32, PathBuf)> {
    let mut number = 1;
    loop {
        let path = root.join(format!("damaged-{number}"));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok((number, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Reads what an open needs.
fn check(view: &dyn View) -> Result<(), StoreError> {
    for signal in Signal::ALL {
        read_books(view, signal)?;
        read_intervals(view, signal)?;
    }
    for key in [keys::STORE, keys::EPOCH, keys::RUN, keys::DEAD] {
        view.get(Family::Meta, key)?;
    }
    Ok(())
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
