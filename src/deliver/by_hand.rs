//! What people order delivery to do, and what of it holds until it is taken back.
//!
//! Words alone, shared by API, command line and status. [`command`](super::command) carries them out.

use serde::{Deserialize, Serialize};

use crate::queue::QueueError;

/// An order. On the wire `{"command": "pin", "target": "hub"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Traffic goes to that target and stays there, whatever its state. Survives restarts.
    Pin {
        /// Its name.
        target: String,
    },
    /// The chains decide again.
    Unpin,
    /// Traffic goes to the next target that takes over; from there the chains go on by themselves.
    FailOver,
    /// Traffic goes to the primary at once, if it takes data.
    FailBack,
    /// Nothing is sent to that target.
    Open {
        /// Its name.
        target: String,
    },
    /// Failures do not open that target's breaker.
    Close {
        /// Its name.
        target: String,
    },
    /// That target's breaker decides again.
    Auto {
        /// Its name.
        target: String,
    },
    /// Nothing is sent to any target, while the doors go on taking data. Survives restarts.
    Pause,
    /// Delivery goes on.
    Resume,
}

/// What holds until it is taken back, restarts or not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ByHand {
    /// Where traffic is held; null when the chains decide.
    pub pinned: Option<Pinned>,
    /// Since when delivery is paused, in milliseconds since the Unix epoch; null when it is not.
    pub paused_since_ms: Option<u64>,
}

/// A target that was chosen by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// Its name. Chains that do not have it decide by themselves.
    pub target: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// In a sentence without the full stop.
    pub what: String,
    /// What holds from now on.
    #[serde(flatten)]
    pub by_hand: ByHand,
}

/// Why an order is not carried out. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// No chain has a target of that name.
    #[error("no chain has a target {name:?}; there is {}", known.join(", "))]
    NoSuchTarget {
        /// The name that was given.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// It makes no sense now; the sentence says why and what would.
    #[error("{0}")]
    NotNow(String),
    /// It could not be written down, so that a restart would have undone it.
    #[error("it could not be written down")]
    NotKept(#[from] QueueError),
}

impl ByHand {
    /// The pinned target's name.
    pub fn target(&self) -> Option<&str> {
        self.pinned.as_ref().map(|pinned| pinned.target.as_str())
    }

    /// As the queue keeps it. Fields are added, not renamed or removed.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data can be written as JSON")
    }

    /// Reads what [`encode`](ByHand::encode) wrote; what means nothing is told, and holds nothing.
    pub fn decode(kept: Option<&[u8]>) -> ByHand {
        let Some(kept) = kept else { return ByHand::default() };
        serde_json::from_slice(kept).unwrap_or_else(|error| {
            tracing::error!(%error, "what was ordered by hand cannot be read: nothing is pinned or paused");
            ByHand::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Orders as they are written by hand, and what holds as the queue keeps it.
    /// Guarantees the spelling that the documentation gives, and that each value reads as it was written.
    #[test]
    fn words_on_the_wire_and_on_disk() {
        for (text, command) in [
            (r#"{"command":"pin","target":"hub"}"#, Command::Pin { target: "hub".to_owned() }),
            (r#"{"command":"fail-over"}"#, Command::FailOver),
            (r#"{"command":"auto","target":"hub"}"#, Command::Auto { target: "hub".to_owned() }),
        ] {
            assert_eq!(serde_json::to_string(&command).unwrap(), text);
            assert_eq!(serde_json::from_str::<Command>(text).unwrap(), command);
        }
        assert!(serde_json::from_str::<Command>(r#"{"command":"pin"}"#).is_err());
        let pinned = Some(Pinned { target: "hub".to_owned(), since_ms: 5 });
        for by_hand in [ByHand::default(), ByHand { pinned, paused_since_ms: Some(7) }] {
            assert_eq!(ByHand::decode(Some(&by_hand.encode())), by_hand);
        }
        assert_eq!((ByHand::decode(None), ByHand::decode(Some(b"x"))), Default::default());
    }
}
