//! From a file, options and the environment to a [`Config`], or to the list of all that is wrong.

use std::path::{Path, PathBuf};

use super::Config;
use super::mistake::{Mistake, Mistakes, Place};

/// Where the configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A YAML file.
    File(PathBuf),
    /// YAML that is at hand, and what to call it in messages.
    Text {
        /// Stands for the file's name.
        name: String,
        /// The YAML.
        text: String,
    },
    /// No file: `OTEL_EXPORTER_OTLP_ENDPOINT` and its siblings describe the primary.
    Environment,
}

/// A value that an option of the command line puts over the file's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The option as it was given, for messages.
    pub option: String,
    /// Key and value, `queue.max_size=1GiB`.
    pub assignment: String,
}

impl Override {
    /// `--set KEY.PATH=VALUE`; the value is YAML, so that `chain.fallback=[direct]` works.
    pub fn set(assignment: impl Into<String>) -> Override {
        let assignment = assignment.into();
        Override { option: format!("--set {assignment}"), assignment }
    }

    /// `--data-dir DIR`
    pub fn data_dir(directory: &Path) -> Override {
        Override::text(format!("--data-dir {}", directory.display()), "queue.directory", &directory.to_string_lossy())
    }

    /// An option that stands for one key, with a value that is text whatever it looks like.
    pub fn text(option: impl Into<String>, key: &str, value: &str) -> Override {
        let quoted = serde_json::Value::from(value.replace('$', "$$"));
        Override { option: option.into(), assignment: format!("{key}={quoted}") }
    }
}

/// A configuration that holds, and what is worth a warning.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The whole of it.
    pub config: Config,
    /// One line each, with the place.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads, overrides, substitutes, decodes and checks; opens the files that it names, and writes nothing.
    ///
    /// `env` is the environment (`std::env::var(name).ok()` in the program). Overrides beat the file, the file beats the
    /// environment, the environment beats the defaults.
    pub fn load(
        source: &Source,
        overrides: &[Override],
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Loaded, Mistakes> {
        let _ = (source, overrides, env);
        Err(Mistakes { file: String::new(), list: vec![Mistake::new(Place::Nowhere, "loading is being written")] })
    }
}
