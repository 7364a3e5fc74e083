//! Why a command ends early: a sentence for a person, and a code for a script.

use std::fmt;
use std::time::Duration;

use crate::cli::exit::Code;
use crate::cli::out;

/// The end of a command.
#[derive(Debug)]
pub(in crate::cli) struct Failure {
    /// What, where, and how to mend it.
    pub(in crate::cli) sentence: String,
    pub(in crate::cli) code: Code,
    /// The same works after this time: the queue is full.
    pub(in crate::cli) retry_after: Option<Duration>,
}

impl Failure {
    pub(in crate::cli) fn new(code: Code, sentence: impl fmt::Display) -> Failure {
        Failure { sentence: sentence.to_string(), code, retry_after: None }
    }
}

/// Says why a command ended early; the code to end with.
pub(in crate::cli) fn ended(result: Result<Code, Failure>) -> Code {
    result.unwrap_or_else(|failure| out::fail(&failure.sentence, failure.code))
}
