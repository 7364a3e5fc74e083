//! What is read from files that others change: certificates, keys, tokens.
//!
//! It does not know what the files are for, nor which key of the configuration names them: whoever does says so.

mod known;
pub mod pem;
mod watched;

use std::fmt;
use std::path::{Path, PathBuf};

pub use self::known::Known;
pub use self::watched::{Look, Watched};

/// Why a file is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", file.display())]
pub struct FileError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it, in words, and nothing of what it holds.
    pub reason: String,
}

impl FileError {
    /// `reason` speaks of `file`.
    pub fn new(file: &Path, reason: impl fmt::Display) -> FileError {
        FileError { file: file.to_owned(), reason: reason.to_string() }
    }
}
