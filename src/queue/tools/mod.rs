//! What a person asks of the queue, beside its traffic: lists, copies, a check of every record, dead letters, imports.
//!
//! Each question is a *slice*: a bounded look of some milliseconds on the reading thread, with a view of the store that ends
//! with it, and the key at which the next slice begins. So a list or an export of any length never pins the store and never
//! keeps delivery from its reads for long. What is between two slices is the caller's affair: a batch that is settled
//! meanwhile is not in the next slice.
//!
//! It knows no HTTP, no JSON of OTLP, no terminal. What changes something goes to the committing thread as a command
//! ([`moves`]).

mod copies;
mod kept;
pub(super) mod letters;
mod list;
pub(super) mod moves;
mod select;
mod verify;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

pub use copies::Copied;
pub use letters::Letter;
pub use list::{Entry, Standing};
pub use moves::{Left, Mark, Moved};
pub use select::Select;
pub use verify::{Checked, Damage};

use super::Queue;
use super::error::{QueueError, StoreError};
use super::reader::{Errand, Look};
use super::shared::Shared;
use super::store::Engine;
use crate::batch::Key;

/// Batches of which a slice reads the bodies, at most.
const SLICE_BATCHES: usize = 64;
/// Bytes of those bodies, or a single larger one.
const SLICE_BYTES: u64 = 2 << 20;

/// A slice of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// What was found.
    pub found: Vec<T>,
    /// Where to go on; `None` at the end. A slice may be empty and not the last.
    #[serde(with = "key_text::option")]
    pub next: Option<Key>,
}

impl Queue {
    /// Bytes that the store takes on disk, dead letters apart: measured each second, and what was appended since.
    pub fn disk_bytes(&self) -> u64 {
        self.shared.space.used()
    }

    /// Looks into the store on the reading thread.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&dyn Engine, &Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, QueueError> {
        let (reply, outcome) = oneshot::channel();
        self.send(Some(Errand::Look(Look(Box::new(move |engine, shared| drop(reply.send(look(engine, shared))))))));
        Ok(outcome.await.map_err(|_| QueueError::Closed)??)
    }
}

/// Keys in JSON: as people read and write them.
pub(crate) mod key_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::batch::Key;

    pub(crate) fn serialize<S: Serializer>(key: &Key, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(key)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }

    pub(crate) mod option {
        use super::{Deserialize, Deserializer, Error, Key, Serializer};

        pub(crate) fn serialize<S: Serializer>(key: &Option<Key>, serializer: S) -> Result<S::Ok, S::Error> {
            match key {
                Some(key) => serializer.collect_str(key),
                None => serializer.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Key>, D::Error> {
            let text = Option::<String>::deserialize(deserializer)?;
            text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
        }
    }
}
