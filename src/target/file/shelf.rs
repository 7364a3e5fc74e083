//! The files of one target on disk: the one that is written and the rotated ones, with their sizes and their bound.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::names;
use crate::config::FileConfig;

/// How much of a file's end is read at once when its last line feed is looked for.
const BLOCK: u64 = 64 << 10;

/// The open file and what lies beside it.
pub(super) struct Shelf {
    path: PathBuf,
    max_file: u64,
    max_age: Duration,
    max_total: u64,
    file: File,
    inode: u64,
    /// Bytes of whole lines in `file`.
    len: u64,
    /// How many of them are synced.
    synced: u64,
    /// A part of a line stayed behind `len`.
    torn: bool,
    /// A sync failed: what is on the disk is unknown, and a later sync that succeeds would prove nothing.
    lost: bool,
    born: SystemTime,
    /// Rotated files and their sizes, the oldest first.
    rotated: Vec<(PathBuf, u64)>,
}

impl Shelf {
    /// Opens the file, takes its lock and cuts off a line that a kill has torn.
    pub(super) fn open(config: &FileConfig) -> io::Result<Shelf> {
        let path = config.path.clone();
        let directory = names::directory(&path);
        if !directory.is_dir() {
            fs::create_dir(directory)?;
        }
        let mut file = create(&path)?;
        let meta = file.metadata()?;
        let len = cut_torn_line(&mut file, meta.len())?;
        let mut rotated = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if names::is_rotated(&path, &entry.file_name()) {
                rotated.push((entry.path(), entry.metadata()?.len()));
            }
        }
        rotated.sort();
        Ok(Shelf {
            path,
            // A file larger than the bound of all of them could never be put aside.
            max_file: config.max_file.min(config.max_total),
            max_age: config.max_age,
            max_total: config.max_total,
            inode: meta.ino(),
            len,
            synced: len,
            torn: false,
            lost: false,
            born: born(&meta),
            rotated,
            file,
        })
    }

    /// Whether the path still leads to the file that is open: somebody may have moved it away.
    pub(super) fn is_current(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|meta| meta.ino() == self.inode)
    }

    /// Writes a whole line, after making room for it. On error nothing of it stays.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let more = line.len() as u64;
        if self.torn {
            self.file.set_len(self.len)?;
            self.torn = false;
        }
        let old = !self.max_age.is_zero() && self.born.elapsed().is_ok_and(|age| age >= self.max_age);
        if self.len > 0 && (old || self.len + more > self.max_file) {
            self.rotate()?;
        }
        while !self.rotated.is_empty() && self.total() + more > self.max_total {
            self.remove_oldest()?;
        }
        match self.file.write_all(line) {
            Ok(()) => {
                self.len += more;
                Ok(())
            }
            Err(error) => {
                self.torn = self.file.set_len(self.len).is_err();
                Err(error)
            }
        }
    }

    /// Makes what was appended durable. After an error the file has to be opened anew.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.lost {
            return Err(io::Error::other("an earlier sync failed"));
        }
        self.file.sync_data().inspect_err(|_| self.lost = true)?;
        self.synced = self.len;
        Ok(())
    }

    /// Forgets what was appended since the last sync, as far as the disk lets it.
    pub(super) fn take_back(&mut self) {
        if self.file.set_len(self.synced).is_ok() {
            self.len = self.synced;
        }
    }

    /// Longest line that fits at all, in bytes.
    pub(super) const fn longest_line(&self) -> u64 {
        self.max_total
    }

    fn total(&self) -> u64 {
        self.len + self.rotated.iter().map(|(_, len)| len).sum::<u64>()
    }

    /// Puts the file aside under a name of its own and begins a new one.
    fn rotate(&mut self) -> io::Result<()> {
        self.sync()?;
        let mut now = SystemTime::now();
        let mut aside = names::rotated(&self.path, now);
        while aside.exists() {
            now += Duration::from_millis(1);
            aside = names::rotated(&self.path, now);
        }
        fs::rename(&self.path, &aside)?;
        self.rotated.push((aside, self.len));
        self.rotated.sort();
        let file = create(&self.path)?;
        let meta = file.metadata()?;
        (self.file, self.inode, self.len, self.synced, self.born) = (file, meta.ino(), 0, 0, born(&meta));
        Ok(())
    }

    fn remove_oldest(&mut self) -> io::Result<()> {
        let (path, bytes) = self.rotated.remove(0);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => {
                tracing::warn!(file = %path.display(), bytes, "removed, since rotation.max_total is reached");
                Ok(())
            }
        }
    }
}

/// Opens or creates the file for appending, with its lock; its name is durable on return.
fn create(path: &Path) -> io::Result<File> {
    // Telemetry may hold personal data: readable for the gateway's user alone.
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process writes this file"));
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    if fs::metadata(path)?.ino() != file.metadata()?.ino() {
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process has just moved this file away"));
    }
    File::open(names::directory(path))?.sync_all()?;
    Ok(file)
}

fn born(meta: &fs::Metadata) -> SystemTime {
    meta.created().or_else(|_| meta.modified()).unwrap_or_else(|_| SystemTime::now())
}

/// Cuts off what follows the last line feed, and returns the length of what stays.
///
/// Only what could be the start of one of our lines is cut: a file of another kind is left alone.
fn cut_torn_line(file: &mut File, len: u64) -> io::Result<u64> {
    let (mut end, mut block) = (len, vec![0; BLOCK.min(len) as usize]);
    let whole = loop {
        if end == 0 {
            break 0;
        }
        let start = end.saturating_sub(BLOCK);
        let part = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            break start + at as u64 + 1;
        }
        end = start;
    };
    if whole < len {
        let mut first = [0];
        file.seek(SeekFrom::Start(whole))?;
        file.read_exact(&mut first)?;
        if !matches!(first, [b'{' | 0]) {
            let what = "it does not end with a line of JSON: not a file of OTLP JSON lines, left alone";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        tracing::warn!(bytes = len - whole, "cut off a line that was not written to its end");
        file.set_len(whole)?;
        file.sync_all()?;
    }
    Ok(whole)
}
