//! The only place that prints. Results go to standard output, everything said about them to standard error.
//!
//! A reader that went away (`spillway check | head`) is no error: what cannot be written is dropped.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr, stdout};

use serde::Serialize;

use super::exit::Code;

/// Lines of a result.
pub fn lines<L: Display>(lines: impl IntoIterator<Item = L>) {
    let mut out = stdout().lock();
    for line in lines {
        if writeln!(out, "{line}").is_err() {
            return;
        }
    }
}

/// A result as it is, newlines included.
pub fn text(text: &str) {
    let mut out = stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Lets nothing that was printed stay behind.
pub(super) fn flush() {
    let _ = stdout().flush();
}

/// A result as one JSON object on one line.
pub fn json(result: &impl Serialize) {
    match serde_json::to_string(result) {
        Ok(line) => lines([line]),
        Err(error) => note(&format!("the result cannot be written as JSON: {error}")),
    }
}

/// A screen of its own on the terminal (the alternate one of xterm), drawn anew as a whole. Dropped, the terminal is as it was.
pub(super) struct Screen(());

impl Screen {
    /// `None` where standard output is no terminal.
    pub(super) fn open() -> Option<Screen> {
        stdout().is_terminal().then(|| {
            text("\x1b[?1049h\x1b[?25l\x1b[?7l"); // alternate screen, no cursor, long lines are cut
            Screen(())
        })
    }

    /// Shows these lines in place of those before, as many as there is room for.
    pub(super) fn show(&self, lines: &[String]) {
        let rows = rustix::termios::tcgetwinsize(stdout()).map_or(usize::MAX, |size| usize::from(size.ws_row).max(2));
        let shown = lines.iter().take(rows - 1).map(|line| format!("{line}\x1b[K\r\n"));
        text(&format!("\x1b[H{}\x1b[J", shown.collect::<String>()));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        text("\x1b[?7h\x1b[?25h\x1b[?1049l");
    }
}

/// A remark on standard error.
pub fn note(line: &str) {
    let _ = writeln!(stderr().lock(), "{line}");
}

/// A question on standard error; the answer is read behind it.
pub(super) fn ask(question: &str) {
    let mut err = stderr().lock();
    let _ = err.write_all(question.as_bytes()).and_then(|()| err.flush());
}

/// Where a result of any length goes, by somebody who wants to know whether it arrived.
pub(super) fn pipe() -> impl Write {
    stdout()
}

/// A warning on standard error.
pub fn warn(line: &str) {
    note(&format!("{} {line}", paint("warning:", "33")));
}

/// The sentence that ends a command, on standard error; and the code to end with.
pub fn fail(sentence: &str, code: Code) -> Code {
    note(&format!("{} {sentence}", paint("spillway:", "31")));
    code
}

/// Whether standard error is a terminal that wants colors (<https://no-color.org>).
pub(super) fn colors() -> bool {
    !refused() && stderr().is_terminal()
}

fn refused() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Whether standard output is one.
pub(super) fn colored() -> bool {
    !refused() && stdout().is_terminal()
}

/// `text` in a color of ECMA-48, where colors are wanted.
fn paint(text: &str, color: &str) -> String {
    if colors() { format!("\x1b[1;{color}m{text}\x1b[0m") } else { text.to_owned() }
}
