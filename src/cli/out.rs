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
            text("\x1b[?1049h\x1b[?25l\x1b[?7l"); // alternate screen, no cursor, no line goes on below
            Screen(())
        })
    }

    /// Shows these lines in place of those before, as many and as much of each as there is room for. Where it is scarce, empty ones go first.
    pub(super) fn show(&self, lines: &[String]) {
        let (rows, columns) = match rustix::termios::tcgetwinsize(stdout()) {
            Ok(size) if size.ws_row > 1 && size.ws_col > 0 => (usize::from(size.ws_row) - 1, usize::from(size.ws_col)),
            _ => (usize::MAX, usize::MAX),
        };
        let tight = lines.len() > rows;
        let shown = lines.iter().filter(|line| !(tight && line.is_empty())).take(rows);
        let shown: String = shown.map(|line| format!("{}\x1b[K\r\n", cut(line, columns))).collect();
        text(&format!("\x1b[H{shown}\x1b[J"));
    }
}

/// A line that fits: what is too long ends in an ellipsis. Colors take no room.
fn cut(line: &str, columns: usize) -> String {
    let wide = visible(line) > columns;
    let (mut out, mut shown) = (String::with_capacity(line.len()), 0);
    for (c, is_seen) in signs(line) {
        if !is_seen || !wide || shown + 1 < columns {
            out.push(c);
        } else if shown < columns {
            out.push('…');
        }
        shown += usize::from(is_seen);
    }
    out
}

/// Characters of a line that are seen.
fn visible(line: &str) -> usize {
    signs(line).filter(|(_, is_seen)| *is_seen).count()
}

/// The characters of a line, and whether each is seen; those of a color are not.
fn signs(line: &str) -> impl Iterator<Item = (char, bool)> {
    let mut color = false;
    line.chars().map(move |c| {
        let hidden = color || c == '\x1b';
        color = hidden && c != 'm';
        (c, !hidden)
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: lines that fit and lines that do not, with colors and without.
    /// Guarantee: none is wider than the screen, what is cut says so, and every color ends.
    #[test]
    fn a_line_is_cut_at_the_edge() {
        assert_eq!(cut("twelve signs", 12), "twelve signs");
        assert_eq!(cut("twelve signs", 11), "twelve sig…");
        assert_eq!(cut("\x1b[31mtwelve\x1b[0m signs", 9), "\x1b[31mtwelve\x1b[0m s…");
        assert_eq!(cut("\x1b[31mtwelve signs\x1b[0m", 3), "\x1b[31mtw…\x1b[0m");
        assert_eq!(visible("\x1b[1;31möl\x1b[0m"), 2);
    }
}
