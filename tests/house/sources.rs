//! The sources of the crate, read from disk.

use std::fs;
use std::path::{Path, PathBuf};

/// One source file.
pub(crate) struct Source {
    /// Path below the root of the checkout.
    pub(crate) path: PathBuf,
    /// The part it belongs to: the first folder below `src`, or the file's name without its ending.
    pub(crate) part: String,
    /// Its whole text.
    pub(crate) text: String,
}

impl Source {
    /// The lines of code before the file's unit tests, without comments.
    pub(crate) fn code(&self) -> impl Iterator<Item = &str> {
        let lines = self.text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
        lines.map(|line| line.split("//").next().unwrap_or_default())
    }
}

/// Every `.rs` file below `folder`.
pub(crate) fn below(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(dir) = folders.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root).unwrap().to_owned();
                let part = path.iter().nth(1).unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
                found.push(Source { path, part, text });
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {folder}");
    found
}
