//! The ballast: a file that holds space on the volume, so that a store on a full disk can be opened and drained all the same.
//!
//! Nothing is in it. It is removed when space is needed to recover or to drain, and made again before anything is appended.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

/// Its name in the queue's directory.
const NAME: &str = "ballast";
/// Of a volume, what is set aside at most: a tenth, and where logs and memtables need more a quarter. Logs are read into
/// new files at an open, so with less a full volume might not be opened.
const OF_VOLUME: (u64, u64) = (10, 4);
/// Set aside beyond logs and memtables when `queue.reserve` says nothing: for what the doors let in, and for a compaction.
const BEYOND: u64 = (32 << 20) + (128 << 20);
/// Of a quota, what is set aside at most, unless logs and memtables need more: a quarter.
const OF_QUOTA: u64 = 4;

/// A place for it.
#[derive(Debug, Clone)]
pub(super) struct Ballast(PathBuf);

impl Ballast {
    /// The ballast of a queue's directory, there or not.
    pub(super) fn of(directory: &Path) -> Ballast {
        Ballast(directory.join(NAME))
    }

    /// Bytes that it holds on the volume.
    pub(super) fn held(&self) -> u64 {
        fs::metadata(&self.0).map_or(0, |metadata| metadata.blocks() * 512)
    }

    /// Whether it holds just so many bytes.
    pub(super) fn is(&self, bytes: u64) -> bool {
        let len = fs::metadata(&self.0).map_or(0, |metadata| metadata.len());
        len == bytes && self.held() >= bytes
    }

    /// Makes it hold so many bytes, in blocks that are really there; what it holds too much is given back.
    ///
    /// # Errors
    /// Where the volume has no room for it, or cannot set blocks aside. Nothing is held then.
    pub(super) fn hold(&self, bytes: u64) -> io::Result<()> {
        let made =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&self.0).and_then(|file| {
                if file.metadata()?.len() > bytes {
                    file.set_len(bytes)?;
                }
                match bytes {
                    0 => Ok(()),
                    _ => Ok(fallocate(&file, FallocateFlags::empty(), 0, bytes)?),
                }
            });
        made.inspect_err(|_| drop(self.release()))
    }

    /// Gives back what it holds; how many bytes that were.
    pub(super) fn release(&self) -> io::Result<u64> {
        let held = self.held();
        match fs::remove_file(&self.0) {
            Ok(()) => Ok(held),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }
}

/// How many bytes of a volume are set aside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reserve {
    /// `queue.reserve`.
    pub configured: Option<u64>,
    /// What write-ahead logs and memtables may take.
    pub store: u64,
}

impl Reserve {
    /// As configured; otherwise for logs, memtables and what is on its way to them, less with a small quota or volume.
    pub(super) fn on(self, volume: u64, quota: u64) -> u64 {
        let derived = (self.store + BEYOND).min((quota / OF_QUOTA).max(self.store));
        let most = (volume / OF_VOLUME.0).max(self.store.min(volume / OF_VOLUME.1));
        self.configured.unwrap_or(derived).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: a ballast is made, made smaller, larger, and removed twice. Guarantee: it holds as many bytes on disk as
    /// was asked for, for this user alone, and removing nothing is no mistake.
    #[test]
    fn it_holds_what_it_is_asked_to() {
        let directory = tempfile::tempdir().unwrap();
        let ballast = Ballast::of(directory.path());
        assert_eq!((ballast.held(), ballast.release().unwrap()), (0, 0));
        for bytes in [8 << 20, 1 << 20, 2 << 20] {
            ballast.hold(bytes).unwrap();
            assert!(ballast.is(bytes) && ballast.held() < bytes + (1 << 20), "{}", ballast.held());
        }
        let mode = fs::metadata(directory.path().join(NAME)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(ballast.release().unwrap() >= 2 << 20);
        assert_eq!(ballast.held(), 0);
    }

    #[test]
    fn a_ballast_that_does_not_fit_holds_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let ballast = Ballast::of(directory.path());
        assert!(ballast.hold(1 << 60).is_err());
        assert!(!directory.path().join(NAME).exists());
    }

    #[test]
    fn the_reserve_fits_the_volume_and_the_quota() {
        let reserve = Reserve { configured: None, store: 192 << 20 };
        let mib = |volume: u64, quota: u64| reserve.on(volume << 20, quota << 20) >> 20;
        assert_eq!((mib(1 << 20, 2048), mib(2000, 2048), mib(1 << 20, 100)), (352, 200, 192));
        assert_eq!((mib(1000, 2048), mib(400, 2048)), (192, 100), "logs and memtables, or a quarter");
        let small = Reserve { configured: None, store: 16 << 20 };
        assert_eq!((small.on(1 << 40, 48 << 20) >> 20, small.on(1 << 40, 200 << 20) >> 20), (16, 50));
        assert_eq!(Reserve { configured: Some(1000), ..reserve }.on(1 << 30, 1 << 20), 1000);
    }
}
