//! What is wrong with a request and where, said so that the developer of the client can find it.

use std::fmt;

/// A request that is not what its signal and content type say it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The field, spelled as in the encoding: `resource_logs[0].scope_logs[2].log_records[17].body`.
    /// Empty when the request as a whole is meant.
    pub path: String,
    /// What is wrong with that field, in English.
    pub what: String,
    /// Where in the body the trouble lies.
    pub place: Place,
}

/// A position in a request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Offset in the uncompressed protobuf bytes, from 0.
    Byte(usize),
    /// Position in a JSON text, both from 1.
    Text {
        /// Line.
        line: usize,
        /// Column, in bytes.
        column: usize,
    },
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = if self.path.is_empty() { "the request" } else { &self.path };
        write!(f, "{subject}: {} ({})", self.what, self.place)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Byte(offset) => write!(f, "at byte {offset} of the uncompressed body"),
            Place::Text { line, column } => write!(f, "at line {line}, column {column}"),
        }
    }
}

impl std::error::Error for Malformed {}
