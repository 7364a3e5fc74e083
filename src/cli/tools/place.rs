//! Where a batch or dead letter is, as it is written and typed: `logs/17`, `logs/17.2`.

use std::fmt;
use std::str::FromStr;

use crate::batch::{Key, Signal};
use crate::observe::commands::wire;

/// A signal and a key in its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Id(pub(in crate::cli) wire::Place);

impl Id {
    pub(in crate::cli) fn of(signal: Signal, key: Key) -> Id {
        Id(wire::Place { signal, key })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.0.signal, self.0.key))
    }
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Id, String> {
        let read = text.split_once('/').and_then(|(signal, key)| Some(Id::of(signal.parse().ok()?, key.parse().ok()?)));
        read.ok_or_else(|| "expected an ID as the list shows it, such as logs/17".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_as_they_are_written() {
        for text in ["logs/17", "traces/17.2"] {
            assert_eq!(text.parse::<Id>().unwrap().to_string(), text);
        }
        for text in ["17", "logs", "logs/", "logs/x", "spans/1", "logs/17/2"] {
            assert!(text.parse::<Id>().is_err(), "{text}");
        }
    }
}
