//! The exit codes, and which error ends in which.
//!
//! Those above 63 are the ones of `sysexits.h`, so that a supervisor can tell a wrong configuration, which a restart does not
//! cure, from a port in use, which it may.

use std::panic;

use super::out;
use crate::app::StartError;
use crate::queue::OpenError;
use crate::receive;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// All is well.
    Fine = 0,
    /// The command worked, and its answer is no.
    No = 1,
    /// Usage or configuration is wrong; nothing was touched.
    Usage = 64,
    /// Data that was handed in is not what it should be.
    Data = 65,
    /// A port or the lock of the data directory is in use, or no gateway answers.
    InUse = 69,
    /// A bug of ours.
    Bug = 70,
    /// A directory cannot be used: missing, not writable, full.
    Directory = 73,
    /// The store cannot be opened or read.
    Store = 74,
    /// The time that was given ran out.
    Timeout = 75,
}

/// The table of `--help`.
pub(super) const HELP: &str = "Exit codes:
  0   fine
  1   the command's answer is no
  64  usage or configuration is wrong; nothing was touched
  65  the data handed in is not OTLP JSON lines
  69  a port or the lock of the data directory is in use, or no gateway answers
  70  a bug in spillway
  73  a directory cannot be used
  74  the store cannot be opened or read
  75  the time that was given ran out";

impl From<&StartError> for Code {
    fn from(error: &StartError) -> Code {
        match error {
            StartError::Target(_) | StartError::Door(receive::OpenError::File { .. }) => Code::Usage,
            StartError::Door(receive::OpenError::Bind(_)) | StartError::Admin(_) => Code::InUse,
            StartError::Queue(error) => Code::from(error),
            StartError::ByHand(_) => Code::Store,
            StartError::Metrics(_) | StartError::Thread(_) => Code::Bug,
        }
    }
}

impl From<&OpenError> for Code {
    fn from(error: &OpenError) -> Code {
        match error {
            OpenError::Locked { .. } => Code::InUse,
            OpenError::Directory { .. } => Code::Directory,
            OpenError::Store { .. } | OpenError::NewerFormat { .. } => Code::Store,
        }
    }
}

/// Ends the process, at once and with that code. Handlers of the C++ runtime are left out: RocksDB's wait for its threads, for as
/// long as a disk hangs, or abort the process that still has some.
pub(super) fn leave(code: Code) -> ! {
    signal_hook::low_level::exit(code as i32)
}

/// From here on a panic ends the process with [`Code::Bug`] and a sentence, unless it is on a thread of the queue: those are
/// watched by the queue itself, which refuses everything until it has reopened its store.
///
/// A thread that is gone would leave a gateway that looks alive and does nothing; one that ends is started again by its
/// supervisor and recovers, and nothing acknowledged is lost.
pub(super) fn end_on_panic() {
    panic::set_hook(Box::new(|panic| {
        let what = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
        let sentence = format!("this is a bug in spillway{place}: {what}; what was acknowledged is on disk");
        if std::thread::current().name().is_some_and(|name| name.starts_with("queue-")) {
            return out::note(&sentence);
        }
        leave(out::fail(&sentence, Code::Bug));
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A panic anywhere, here on a thread that nobody joins, ends the process with the code and a sentence.
    #[test]
    fn a_panic_ends_the_process_with_a_sentence() {
        const CHILD: &str = "SPILLWAY_TEST_PANICS";
        if std::env::var_os(CHILD).is_some() {
            end_on_panic();
            let _ = std::thread::spawn(|| panic!("two and two is five")).join();
            return;
        }
        let name = "cli::exit::tests::a_panic_ends_the_process_with_a_sentence";
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let output = child.args([name, "--exact", "--nocapture"]).env(CHILD, "1").output().unwrap();
        assert_eq!(output.status.code(), Some(70));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("this is a bug in spillway at src/cli/exit.rs:") && said.contains("two and two is five"),
            "{said}"
        );
    }

    /// A panic on a thread of the queue is said, and leaves the process to the queue's owner.
    #[test]
    fn a_panic_of_the_queue_is_left_to_the_queue() {
        const CHILD: &str = "SPILLWAY_TEST_QUEUE_PANICS";
        if std::env::var_os(CHILD).is_some() {
            end_on_panic();
            let thread = std::thread::Builder::new().name("queue-read".to_owned());
            assert!(thread.spawn(|| panic!("two and two is five")).unwrap().join().is_err());
            return;
        }
        let name = "cli::exit::tests::a_panic_of_the_queue_is_left_to_the_queue";
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let output = child.args([name, "--exact", "--nocapture"]).env(CHILD, "1").output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8_lossy(&output.stderr).contains("two and two is five"));
    }

    /// Every code that the program knows stands in the help.
    #[test]
    fn the_help_lists_every_code() {
        for code in [
            Code::Fine,
            Code::No,
            Code::Usage,
            Code::Data,
            Code::InUse,
            Code::Bug,
            Code::Directory,
            Code::Store,
            Code::Timeout,
        ] {
            let number = format!("  {} ", code as u8);
            assert!(HELP.lines().any(|line| line.starts_with(&number)), "{code:?}");
        }
    }
}
