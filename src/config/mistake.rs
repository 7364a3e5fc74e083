//! What is wrong with a configuration, and where: one line each, all of them at once.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the file, both counted from 1.
    File {
        /// Line.
        line: usize,
        /// Column, in characters.
        column: usize,
    },
    /// In an option, as it was given: `--set queue.max_size=1GiB`.
    Option(Arc<str>),
    /// In an environment variable of that name.
    Variable(Arc<str>),
    /// Nowhere: it is missing.
    Nowhere,
}

/// One thing that is wrong, or worth a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// What is there, in a clause that starts with the key.
    pub what: String,
    /// What should be there, after "expected".
    pub expected: Option<String>,
    /// A hint: a whole clause, such as "did you mean `max_size`?".
    pub hint: Option<String>,
}

impl Mistake {
    /// A mistake without expectation or hint.
    pub fn new(place: Place, what: impl Into<String>) -> Mistake {
        Mistake { place, what: what.into(), expected: None, hint: None }
    }

    /// Adds what was expected.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Mistake {
        self.expected = Some(expected.into());
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Mistake {
        self.hint = Some(hint.into());
        self
    }

    /// The line that people read, `FILE:LINE:COL: what; expected …; hint`.
    pub fn line(&self, file: &str) -> String {
        let mut line = match &self.place {
            Place::File { line, column } => format!("{file}:{line}:{column}: {}", self.what),
            Place::Option(option) => format!("{option}: {}", self.what),
            Place::Variable(name) => format!("environment variable {name}: {}", self.what),
            Place::Nowhere => format!("{file}: {}", self.what),
        };
        if let Some(expected) = &self.expected {
            line.push_str("; expected ");
            line.push_str(expected);
        }
        if let Some(hint) = &self.hint {
            line.push_str("; ");
            line.push_str(hint);
        }
        line
    }

    /// The same for programs.
    pub fn record(&self, file: &str) -> Record {
        let (file, line, column) = match &self.place {
            Place::File { line, column } => (Some(file.to_owned()), Some(*line), Some(*column)),
            Place::Nowhere => (Some(file.to_owned()), None, None),
            Place::Option(_) | Place::Variable(_) => (None, None, None),
        };
        let (option, variable) = match &self.place {
            Place::Option(option) => (Some(option.to_string()), None),
            Place::Variable(name) => (None, Some(name.to_string())),
            Place::File { .. } | Place::Nowhere => (None, None),
        };
        let Mistake { what, expected, hint, .. } = self.clone();
        Record { file, line, column, option, variable, what, expected, hint }
    }
}

/// A mistake as `--json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// File, unless the place is an option or a variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in it, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Column in it, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The option it was given in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
    /// The environment variable it was given in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
    /// What is there.
    pub what: String,
    /// What should be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// A hint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Everything that is wrong with a configuration; at least one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    /// Name of the file, or what stands for it.
    pub file: String,
    /// In the order of the file; options and variables follow.
    pub list: Vec<Mistake>,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.list {
            writeln!(f, "{}", mistake.line(&self.file))?;
        }
        match self.list.len() {
            1 => write!(f, "1 mistake in the configuration; nothing was started"),
            count => write!(f, "{count} mistakes in the configuration; nothing was started"),
        }
    }
}

impl std::error::Error for Mistakes {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_where_what_and_what_was_expected() {
        let mistake = Mistake::new(Place::File { line: 3, column: 7 }, "`a` is 1").expected("a text").hint("so there");
        assert_eq!(mistake.line("x.yaml"), "x.yaml:3:7: `a` is 1; expected a text; so there");
        assert_eq!(Mistake::new(Place::Option("--set a=1".into()), "no").line("x"), "--set a=1: no");
    }
}
