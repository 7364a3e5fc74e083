//! Which volume a path lies on, also while it does not exist yet. Reads metadata, writes nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Number of the device that holds `path`, or will hold it: that of the nearest directory above that exists.
pub(super) fn device(path: &Path) -> Option<u64> {
    let path = absolute(path);
    path.ancestors().find_map(|above| fs::metadata(above).ok()).map(|metadata| metadata.dev())
}

/// Whether `directory` lies on another volume than the system does, as the volume of a container does.
pub(super) fn is_own(directory: &Path) -> bool {
    device(directory) != device(Path::new("/"))
}

/// The path without `.`, `..` and symbolic links, as far as it exists.
pub(super) fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
        if let Ok(real) = fs::canonicalize(&plain) {
            plain = real;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_do_not_exist_yet_lie_where_their_parents_do() {
        let directory = tempfile::tempdir().unwrap();
        assert!(device(directory.path()).is_some());
        assert_eq!(device(&directory.path().join("a/b/c")), device(directory.path()));
        assert!(!is_own(Path::new("/no/such/directory")));
        assert!(is_own(Path::new("/proc/self")));
    }

    #[test]
    fn links_and_dots_are_seen_through() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().canonicalize().unwrap();
        std::fs::create_dir(real.join("data")).unwrap();
        std::os::unix::fs::symlink(real.join("data"), real.join("link")).unwrap();
        assert_eq!(absolute(&real.join("link/../link/x/../y")), real.join("data/y"));
    }
}
