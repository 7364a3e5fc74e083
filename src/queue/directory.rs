//! The queue's directory: made, tried, and locked against a second process.
//!
//! It knows the names of the files in it, and nothing of what the store keeps in its own.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::ballast::Ballast;
use super::error::OpenError;

/// Format of everything below the directory. A release reads every format up to its own.
pub(super) const FORMAT: u32 = 1;
/// Held with flock for as long as a process uses the directory, gaps in which no store is open included.
const LOCK: &str = "spillway.lock";
/// Says the format before anything of it is opened, so that a newer one is refused untouched.
const FORMAT_FILE: &str = "spillway.format";
/// The store, in a directory of its own so that it can be set aside as a whole.
const STORE: &str = "store";

/// A directory that this process holds. Dropping it lets go.
#[derive(Debug)]
pub(super) struct Directory {
    store: PathBuf,
    ballast: Ballast,
    lock: File,
}

impl Drop for Directory {
    /// Unlocked by word, not by closing the file: a child process that is being started has it open, too, until its program runs.
    fn drop(&mut self) {
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

impl Directory {
    /// Makes the directory where it is missing, takes its lock, checks its format.
    ///
    /// Sets the process's umask to 077, so that whatever the store creates later is for this user alone.
    pub(super) fn take(path: &Path) -> Result<Directory, OpenError> {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| unusable(path, error))?;
        let lock = lock(&path.join(LOCK))?;
        check_format(path)?;
        let store = path.join(STORE);
        DirBuilder::new().recursive(true).mode(0o700).create(&store).map_err(|error| unusable(&store, error))?;
        fs::set_permissions(&store, Permissions::from_mode(0o700)).map_err(|error| unusable(&store, error))?;
        Ok(Directory { store, ballast: Ballast::of(path), lock })
    }

    /// Where the store lives.
    pub(super) fn store(&self) -> &Path {
        &self.store
    }

    /// Gives up the ballast file, so that a store can be opened on a full volume. Whether there was one.
    pub(super) fn drop_ballast(&self) -> bool {
        self.ballast.release().is_ok_and(|held| held > 0)
    }
}

/// Whether somebody has taken the directory once.
pub(super) fn is_used(path: &Path) -> bool {
    path.join(FORMAT_FILE).try_exists().unwrap_or(true)
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let mut file = opened.map_err(|error| unusable(path, error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            let read = file.read_to_string(&mut pid).is_ok() && pid.trim().parse::<u32>().is_ok();
            let holder = if read { format!("process {}", pid.trim()) } else { "another process".to_owned() };
            return Err(OpenError::Locked { lock: path.to_owned(), holder });
        }
        Err(errno) => return Err(unusable(path, errno.into())),
    }
    let mut note_pid = || {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    match note_pid() {
        Err(error) if error.kind() != io::ErrorKind::StorageFull => Err(unusable(path, error)),
        _ => Ok(file), // on a full volume the lock holds all the same, and whoever is refused is told no number
    }
}

fn check_format(directory: &Path) -> Result<(), OpenError> {
    let path = directory.join(FORMAT_FILE);
    let text = match fs::read(&path) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return write_format(directory, &path).map_err(|error| unusable(&path, error));
        }
        Err(error) => return Err(unusable(&path, error)),
    };
    match text.trim().parse() {
        Ok(found) if found > FORMAT => Err(OpenError::NewerFormat { path: directory.to_owned(), found, known: FORMAT }),
        Ok(_) => Ok(()),
        Err(_) => {
            // Each release writes a number here, so this is damage. What lies in the store says its own version, too.
            tracing::error!(path = %path.display(), "the format file does not hold a number: it is written anew");
            write_format(directory, &path).map_err(|error| unusable(&path, error))
        }
    }
}

/// Written beside and renamed into place: the file is whole or absent, never empty.
fn write_format(directory: &Path, path: &Path) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    writeln!(file, "{FORMAT}")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(directory)?.sync_all()
}

/// The problem in our words, with what to do about it.
fn unusable(path: &Path, source: io::Error) -> OpenError {
    let remedy = match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "give the user that runs spillway write access to it, or set queue.directory to another place"
        }
        io::ErrorKind::ReadOnlyFilesystem => "mount the volume writable, or set queue.directory to another place",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free space or inodes on its volume",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "move away the file of that name, or set queue.directory to another place"
        }
        _ => "set queue.directory to a place that this user can write to",
    };
    OpenError::Directory { path: path.to_owned(), problem: source.to_string(), remedy, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// Scenario: two takers of one directory. Guarantee: the second is refused and told lock and process; later it gets it.
    #[test]
    fn a_directory_has_one_holder() {
        let temporary = tempfile::tempdir().unwrap();
        let held = Directory::take(temporary.path()).unwrap();
        let refusal = Directory::take(temporary.path()).unwrap_err().to_string();
        assert!(refusal.contains("spillway.lock"), "{refusal}");
        assert!(refusal.contains(&format!("process {}", std::process::id())), "{refusal}");
        drop(held);
        Directory::take(temporary.path()).unwrap();
    }

    #[test]
    fn a_missing_directory_is_made_for_this_user_alone() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a/b");
        let held = Directory::take(&path).unwrap();
        assert_eq!((mode(&path), mode(held.store()), mode(&path.join(LOCK))), (0o700, 0o700, 0o600));
    }

    /// Scenario: the directory's place is taken by a file. Guarantee: the message names the path and what to do.
    #[test]
    fn a_directory_that_cannot_be_made_is_said_with_a_remedy() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("file");
        fs::write(&path, "").unwrap();
        let refusal = Directory::take(&path).unwrap_err().to_string();
        assert!(refusal.contains(path.to_str().unwrap()) && refusal.contains("queue.directory"), "{refusal}");
    }

    /// Scenario: a newer release was here. Guarantee: both formats are named and no file is changed or added.
    #[test]
    fn a_newer_format_is_refused_untouched() {
        let temporary = tempfile::tempdir().unwrap();
        drop(Directory::take(temporary.path()).unwrap());
        fs::write(temporary.path().join(FORMAT_FILE), "7\n").unwrap();
        fs::remove_dir(temporary.path().join(STORE)).unwrap();
        let refusal = Directory::take(temporary.path()).unwrap_err();
        assert!(matches!(refusal, OpenError::NewerFormat { found: 7, known: FORMAT, .. }));
        assert!(!temporary.path().join(STORE).exists());
    }
}
