//! A value that is made from files, and made anew when one of them changes.
//!
//! Projected Kubernetes tokens expire hourly and certificates rotate under the same path, so nothing that comes from a
//! file may be read once and for all. What was read last stays in force while a changed file cannot be used.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

/// Shortest time between two looks at the files: a look costs a system call, a rotation may wait a second.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A value with the files that it was made from.
pub struct Watched<T> {
    files: Vec<PathBuf>,
    make: Make<T>,
    made: ArcSwap<Made<T>>,
    seen: Mutex<Seen>,
}

type Make<T> = Box<dyn Fn() -> Result<T, String> + Send + Sync>;

struct Made<T> {
    value: Arc<T>,
    generation: u64,
}

/// The files as they were at the last look.
struct Seen {
    stamps: Vec<Option<Stamp>>,
    at: Instant,
    /// Why they are of no use, if they are not.
    trouble: Option<String>,
}

/// What tells that a file is another one than before. The inode changes when a ConfigMap's symlink is swapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    len: u64,
    modified: (i64, i64),
}

/// What a look at the files found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Nothing new: what is in force is what they hold.
    Same,
    /// They changed, and what they hold now is in force.
    Renewed,
    /// They changed, and cannot be used; what they held before is in force.
    Refused,
}

impl<T> Watched<T> {
    /// Makes the value for the first time. `make` reads `files`, and nothing else that may change; what it says of them
    /// when it fails is logged.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn new<E: Display>(
        files: Vec<PathBuf>,
        make: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Watched<T>, E> {
        // The stamps are taken before the files are read: a change in between is seen at the next look.
        let seen = Seen { stamps: stamps(&files), at: Instant::now(), trouble: None };
        let made = ArcSwap::from_pointee(Made { value: Arc::new(make()?), generation: 0 });
        let make = Box::new(move || make().map_err(|error| error.to_string()));
        Ok(Watched { files, make, made, seen: Mutex::new(seen) })
    }

    /// The value as the files have it now (a second ago at most), and a number that rises when it changes.
    pub fn get(&self) -> (Arc<T>, u64) {
        let seen = self.seen();
        if !self.files.is_empty() && seen.at.elapsed() >= LOOK_EVERY {
            self.look_again(seen);
        }
        let made = self.made.load();
        (Arc::clone(&made.value), made.generation)
    }

    /// The value as the last look found it. Touches no file.
    pub fn current(&self) -> Arc<T> {
        Arc::clone(&self.made.load().value)
    }

    /// Looks at the files, which may take as long as their disk does.
    pub fn look(&self) -> Look {
        self.look_again(self.seen())
    }

    fn look_again(&self, mut seen: MutexGuard<'_, Seen>) -> Look {
        seen.at = Instant::now();
        let stamps = stamps(&self.files);
        // What could not be used is tried again: rights may have changed, which no stamp tells.
        if stamps == seen.stamps && seen.trouble.is_none() {
            return Look::Same;
        }
        seen.stamps = stamps;
        match (self.make)() {
            Ok(value) => {
                let generation = self.made.load().generation + 1;
                self.made.store(Arc::new(Made { value: Arc::new(value), generation }));
                seen.trouble = None;
                tracing::info!(files = ?self.files, "read again, since it changed");
                Look::Renewed
            }
            Err(error) => {
                if seen.trouble.as_ref() != Some(&error) {
                    tracing::warn!(error, "changed, but cannot be used: what was read before stays in force");
                }
                seen.trouble = Some(error);
                Look::Refused
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    files.iter().map(|file| Stamp::of(file)).collect()
}

impl Stamp {
    fn of(file: &Path) -> Option<Stamp> {
        let meta = fs::metadata(file).ok()?;
        Some(Stamp { inode: meta.ino(), len: meta.len(), modified: (meta.mtime(), meta.mtime_nsec()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(file: &Path) -> Watched<String> {
        let path = file.to_owned();
        let read = move || fs::read_to_string(&path);
        Watched::new(vec![file.to_owned()], read).unwrap()
    }

    /// Scenario: a file is replaced, then removed, then comes back.
    /// Guarantee: the new content is seen a second later, and a missing file leaves the last one in force.
    #[tokio::test(start_paused = true)]
    async fn a_changed_file_is_read_again_and_a_missing_one_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        fs::write(&file, "one").unwrap();
        let watched = watch(&file);
        assert_eq!((watched.get().0.as_str(), watched.get().1), ("one", 0));

        fs::write(&file, "second").unwrap();
        assert_eq!(watched.get().0.as_str(), "one", "no look within the second");
        tokio::time::advance(LOOK_EVERY).await;
        assert_eq!((watched.get().0.as_str(), watched.get().1), ("second", 1));

        fs::remove_file(&file).unwrap();
        tokio::time::advance(LOOK_EVERY).await;
        assert_eq!((watched.get().0.as_str(), watched.get().1), ("second", 1));
        assert_eq!((watched.look(), watched.look()), (Look::Refused, Look::Refused));

        fs::write(&file, "third").unwrap();
        assert_eq!(watched.current().as_str(), "second", "nobody looked");
        assert_eq!((watched.look(), watched.look()), (Look::Renewed, Look::Same));
        assert_eq!((watched.current().as_str(), watched.get().1), ("third", 2));
    }

    /// Scenario: the path is a symlink that is swapped to a file of the same length and time, as in a ConfigMap.
    /// Guarantee: the swap is seen.
    #[tokio::test(start_paused = true)]
    async fn a_swapped_symlink_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new, link) = (dir.path().join("old"), dir.path().join("new"), dir.path().join("token"));
        fs::write(&old, "aaa").unwrap();
        fs::write(&new, "bbb").unwrap();
        let time = fs::metadata(&old).unwrap().modified().unwrap();
        fs::File::options().write(true).open(&new).unwrap().set_modified(time).unwrap();
        std::os::unix::fs::symlink(&old, &link).unwrap();
        let watched = watch(&link);
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&new, &link).unwrap();
        tokio::time::advance(LOOK_EVERY).await;
        assert_eq!(watched.get().0.as_str(), "bbb");
    }
}
