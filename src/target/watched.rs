//! A value that is made from files, and made anew when one of them changes: certificates, keys, tokens.
//!
//! Projected Kubernetes tokens expire hourly and certificates rotate under the same path, so nothing that comes from a
//! file may be read once and for all. What was read last stays in force while a changed file cannot be read.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::BuildError;

/// Shortest time between two looks at the files: a look costs a system call, a rotation may wait a second.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A value with the files that it was made from.
pub(super) struct Watched<T> {
    files: Vec<PathBuf>,
    make: Box<dyn Fn() -> Result<T, BuildError> + Send + Sync>,
    state: Mutex<State<T>>,
}

struct State<T> {
    value: Arc<T>,
    generation: u64,
    stamps: Vec<Option<Stamp>>,
    looked: Instant,
}

/// What tells that a file is another one than before. The inode changes when a ConfigMap's symlink is swapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    len: u64,
    modified: (i64, i64),
}

impl<T> Watched<T> {
    /// Makes the value for the first time. `make` reads `files`, and nothing else that may change.
    pub(super) fn new(
        files: Vec<PathBuf>,
        make: impl Fn() -> Result<T, BuildError> + Send + Sync + 'static,
    ) -> Result<Watched<T>, BuildError> {
        // The stamps are taken before the files are read: a change in between is seen at the next look.
        let stamps = stamps(&files);
        let state = State { value: Arc::new(make()?), generation: 0, stamps, looked: Instant::now() };
        Ok(Watched { files, make: Box::new(make), state: Mutex::new(state) })
    }

    /// The value as the files have it now (a second ago at most), and a number that rises when it changes.
    pub(super) fn get(&self) -> (Arc<T>, u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if !self.files.is_empty() && now.duration_since(state.looked) >= LOOK_EVERY {
            state.looked = now;
            self.look(&mut state);
        }
        (Arc::clone(&state.value), state.generation)
    }

    fn look(&self, state: &mut State<T>) {
        let stamps = stamps(&self.files);
        if stamps == state.stamps {
            return;
        }
        state.stamps = stamps;
        match (self.make)() {
            Ok(value) => {
                state.value = Arc::new(value);
                state.generation += 1;
                tracing::info!(files = ?self.files, "read again, since it changed");
            }
            // Said once a change, since the stamps are those of the file that could not be used.
            Err(error) => tracing::warn!(%error, "changed, but cannot be used: what was read before stays in force"),
        }
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
        let read = move || fs::read_to_string(&path).map_err(|e| BuildError::file("hub", "auth", &path, e));
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

        fs::write(&file, "third").unwrap();
        tokio::time::advance(LOOK_EVERY).await;
        assert_eq!((watched.get().0.as_str(), watched.get().1), ("third", 2));
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
