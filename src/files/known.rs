//! Credentials that others may show: a file with one a line, so that an old and a new one hold together while they rotate.
//!
//! Only digests are kept. They are compared in constant time and all of them each time, so that the time an answer takes
//! tells neither how much of a guess was right nor which line it was close to.

use std::fs;
use std::path::Path;

use ring::digest::{Digest, SHA256, digest};
use subtle::{Choice, ConstantTimeEq};

use super::FileError;

/// How hashed passwords begin, which are none: taken as passwords, whoever read the file could show the hash.
const HASHED: [&str; 8] = ["$2a$", "$2b$", "$2y$", "$apr1$", "$1$", "$5$", "$6$", "{SHA}"];

/// What the lines of a file say; never empty.
#[derive(Debug)]
pub struct Known(Vec<Digest>);

impl Known {
    /// Bearer tokens. Empty lines and those that begin with `#` are none.
    ///
    /// # Errors
    /// [`FileError`], which names the line and never what it holds.
    pub fn tokens(file: &Path) -> Result<Known, FileError> {
        Known::read(file, "token", |line| match line.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(()),
            false => Err("a token is printable ASCII without spaces"),
        })
    }

    /// `user:password` pairs; passwords may hold spaces and colons. Empty lines and those that begin with `#` are none.
    ///
    /// # Errors
    /// [`FileError`], which names the line and never what it holds.
    pub fn users(file: &Path) -> Result<Known, FileError> {
        Known::read(file, "user:password", |line| match line.split_once(':') {
            None => Err("expected user:password"),
            Some((_, password)) if HASHED.iter().any(|scheme| password.starts_with(scheme)) => {
                Err("the password is a hash, which is not supported; write the password itself")
            }
            Some(_) => Ok(()),
        })
    }

    /// Whether this is what one of the lines says.
    pub fn holds(&self, shown: &[u8]) -> bool {
        let shown = digest(&SHA256, shown);
        self.0.iter().fold(Choice::from(0), |found, known| found | known.as_ref().ct_eq(shown.as_ref())).into()
    }

    fn read(file: &Path, what: &str, check: impl Fn(&str) -> Result<(), &'static str>) -> Result<Known, FileError> {
        let text = fs::read_to_string(file).map_err(|error| FileError::new(file, error))?;
        let mut known = Vec::new();
        for (line, text) in (1..).zip(text.lines().map(str::trim)) {
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            check(text).map_err(|why| FileError::new(file, format_args!("line {line}: {why}")))?;
            known.push(digest(&SHA256, text.as_bytes()));
        }
        match known.is_empty() {
            true => Err(FileError::new(file, format_args!("holds no {what}"))),
            false => Ok(Known(known)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, text).unwrap();
        file
    }

    /// Scenario: files as people and kubelets write them, with several lines while they rotate.
    /// Guarantee: each line opens, whole and alone; nothing else does.
    #[test]
    fn every_line_opens_and_nothing_else() {
        let tokens = Known::tokens(file("# ours\none.two-three\n\n  four==\n").path()).unwrap();
        for shown in ["one.two-three", "four=="] {
            assert!(tokens.holds(shown.as_bytes()), "{shown}");
        }
        for shown in ["", "one", "one.two-three\nfour==", "four== ", "# ours", "ours"] {
            assert!(!tokens.holds(shown.as_bytes()), "{shown}");
        }
        let users = Known::users(file("a:pass word:x\nb:\n").path()).unwrap();
        assert!(users.holds(b"a:pass word:x") && users.holds(b"b:") && !users.holds(b"a:pass word"));
    }

    /// Scenario: files without credentials, with such that cannot be shown, with hashes.
    /// Guarantee: each is refused with its line, and without a word of what stands there.
    #[test]
    fn a_useless_file_is_refused_and_keeps_its_secret() {
        let said = |read: fn(&Path) -> Result<Known, FileError>, text| {
            let error = read(file(text).path()).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
            error
        };
        assert!(said(Known::tokens, "\n# hunter2\n").contains("holds no token"));
        assert!(said(Known::tokens, "good\nhunter2 hunter2\n").contains("line 2: a token is"));
        assert!(said(Known::users, "hunter2").contains("line 1: expected user:password"));
        for hash in ["$2y$05$hunter2", "$apr1$hunter2", "{SHA}hunter2"] {
            let text: &'static str = format!("u:{hash}").leak();
            assert!(said(Known::users, text).contains("line 1: the password is a hash"), "{hash}");
        }
        assert!(Known::tokens(Path::new("/nowhere")).unwrap_err().to_string().starts_with("/nowhere: No such file"));
    }
}
