//! The question before something is removed.

use std::io::{BufRead, IsTerminal, stderr, stdin};

use super::failure::Failure;
use crate::cli::exit::Code;
use crate::cli::out;

/// Asks, unless `yes` says it already. An answer other than yes, or nobody to ask, ends the command with nothing removed.
pub(in crate::cli) fn confirm(what: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !(stdin().is_terminal() && stderr().is_terminal()) {
        let sentence = format!("{what} Nothing was removed: without a terminal to ask at this needs --yes");
        return Err(Failure::new(Code::Usage, sentence));
    }
    out::ask(&format!("{what} Go on? [y/N] "));
    let mut answer = String::new();
    let read = stdin().lock().read_line(&mut answer);
    match answer.trim() {
        "y" | "Y" | "yes" | "Yes" if read.is_ok() => Ok(()),
        _ => Err(Failure::new(Code::No, "nothing was removed")),
    }
}
