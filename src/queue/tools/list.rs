//! The list of what is queued, from the index alone: no body is read.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::{Page, Select};
use crate::batch::{Key, Signal};
use crate::queue::Queue;
use crate::queue::error::{QueueError, StoreError};

/// Entries of one slice at most.
const SLICE: usize = 1024;

/// A batch in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which queue.
    pub signal: Signal,
    /// Its place in there.
    #[serde(with = "super::key_text")]
    pub key: Key,
    /// Spans, data points or log records inside.
    pub items: u32,
    /// Bytes of body and kept headers.
    pub bytes: u64,
    /// When it was received, in milliseconds since the Unix epoch.
    pub received_at_ms: u64,
    /// Where it stands.
    pub state: Standing,
}

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It waits.
    Queued,
    /// A fallback has it, the primary is still to get it.
    Owed,
    /// It is on its way to a target, or its end is being written.
    Leased,
    /// It is kept apart as a suspect.
    Parked,
}

impl Standing {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Standing::Queued => "queued",
            Standing::Owed => "owed",
            Standing::Leased => "leased",
            Standing::Parked => "parked",
        }
    }
}

impl Queue {
    /// A slice of the list, of at most `limit` entries (and never more than 1024), oldest first.
    pub async fn list(&self, select: Select, limit: usize) -> Result<Page<Entry>, QueueError> {
        let limit = limit.clamp(1, SLICE);
        self.look(move |engine, shared| {
            let (mut found, mut garbled) = (Vec::new(), Ok(()));
            let low = Key::new(shared.lanes(select.signal).books.low);
            let next = select.walk(engine, low, &mut |key, twin| match twin {
                _ if found.len() == limit => ControlFlow::Break(()),
                Ok(twin) => {
                    let state = Standing::Queued;
                    let (signal, received_at_ms) = (select.signal, twin.received_at_ms);
                    found.push(Entry { signal, key, items: twin.items, bytes: twin.weight, received_at_ms, state });
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    garbled = Err(StoreError::corrupt(format!("index entry {key}: {error}")));
                    ControlFlow::Break(())
                }
            })?;
            garbled?;
            let lanes = shared.lanes(select.signal);
            found.iter_mut().for_each(|entry| entry.state = lanes.standing(entry.key, select.parked));
            Ok(Page { found, next })
        })
        .await
    }
}
