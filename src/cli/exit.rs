//! The exit codes, and which error ends in which.
//!
//! Those above 63 are the ones of `sysexits.h`, so that a supervisor can tell a wrong configuration, which a restart does not
//! cure, from a port in use, which it may.

use std::process::ExitCode;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All is well.
    Fine = 0,
    /// The command worked, and its answer is no.
    No = 1,
    /// Usage or configuration is wrong; nothing was touched.
    Usage = 64,
    /// A port or the lock of the data directory is in use.
    InUse = 69,
    /// A bug of ours.
    Bug = 70,
    /// The data directory cannot be used: missing, not writable, full.
    Directory = 73,
    /// The store cannot be opened.
    Store = 74,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}
