//! Why a target could not be built: a mistake in its section or in a file that the section names.

use std::fmt;
use std::path::{Path, PathBuf};

/// What is wrong with a target's configuration: the key, the file where one is meant, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    /// Key in the configuration, `targets.hub.tls.ca_file`.
    pub key: String,
    /// The file that the key names, where the trouble lies in it.
    pub file: Option<PathBuf>,
    /// What is wrong and what was expected, in words.
    pub reason: String,
}

impl BuildError {
    /// A mistake in the value of `key` of target `target`.
    pub(super) fn value(target: &str, key: &str, reason: impl Into<String>) -> BuildError {
        BuildError { key: format!("targets.{target}.{key}"), file: None, reason: reason.into() }
    }

    /// Trouble with the file that `key` of target `target` names.
    pub(super) fn file(target: &str, key: &str, file: &Path, reason: impl fmt::Display) -> BuildError {
        BuildError { key: format!("targets.{target}.{key}"), file: Some(file.to_owned()), reason: reason.to_string() }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}: {}: {}", self.key, file.display(), self.reason),
            None => write!(f, "{}: {}", self.key, self.reason),
        }
    }
}

impl std::error::Error for BuildError {}
