//! The note that a salvage is under way: written and synced before anything is changed, removed once the books are right.
//! So a process that is killed in the middle of it goes on where it was.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::wal::Gap;
use super::watermark::replace;

const FILE: &str = "spillway.salvage";

/// What is to be done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Note {
    /// Random; kept in the store with the books that it led to, so that nothing is booked twice.
    pub id: u64,
    /// What was found, for people.
    pub why: String,
    /// Whether the store is to be made anew from what is left of it.
    pub rebuild: bool,
    /// Number of the directory that the damaged files go to.
    pub aside: Option<u32>,
    /// What is known to be missing from the logs.
    pub gaps: Vec<Gap>,
}

impl Note {
    pub(super) fn new(why: impl Into<String>, rebuild: bool) -> Note {
        Note { id: rand::random(), why: why.into(), rebuild, aside: None, gaps: Vec::new() }
    }

    /// The note in a directory. One that does not read says that something was to be done: everything is, then.
    pub(super) fn read(directory: &Path) -> io::Result<Option<Note>> {
        match fs::read(directory.join(FILE)) {
            Ok(bytes) => Ok(Some(
                serde_json::from_slice(&bytes)
                    .unwrap_or_else(|_| Note::new("a salvage was under way, and its note does not read", true)),
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        replace(directory, FILE, &serde_json::to_vec(self)?)
    }

    pub(super) fn remove(directory: &Path) -> io::Result<()> {
        fs::remove_file(directory.join(FILE))?;
        File::open(directory)?.sync_all()
    }
}
