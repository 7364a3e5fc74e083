//! Copies of queued batches, to be exported. The queue keeps its own.

use std::ops::ControlFlow;

use super::{Page, SLICE_BATCHES, SLICE_BYTES, Select, Standing};
use crate::batch::{Batch, Key, Signal};
use crate::queue::Queue;
use crate::queue::error::{QueueError, StoreError};
use crate::queue::reader::Missing;

/// A copy of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Which queue.
    pub signal: Signal,
    /// Its place in there.
    pub key: Key,
    /// Where it stands.
    pub state: Standing,
    /// Itself, or why its bytes cannot be read.
    pub batch: Result<Batch, String>,
}

impl Queue {
    /// A slice of copies, of at most 64 batches and 2 MiB, or of one larger batch; oldest first.
    pub async fn copies(&self, select: Select) -> Result<Page<Copied>, QueueError> {
        self.look(move |engine, shared| {
            let low = Key::new(shared.lanes(select.signal).books.low);
            let view = engine.view(); // of index and bodies at one instant, for as long as this slice
            let (mut keys, mut bytes) = (Vec::new(), 0);
            let next = select.walk(view.as_ref(), low, &mut |key, twin| {
                bytes += twin.map_or(0, |twin| twin.weight);
                if keys.len() == SLICE_BATCHES || (bytes > SLICE_BYTES && !keys.is_empty()) {
                    return ControlFlow::Break(());
                }
                keys.push(key);
                ControlFlow::Continue(())
            })?;
            let copy = |key| {
                let batch = match select.read(view.as_ref(), key) {
                    Ok(stored) => Ok(stored.batch),
                    Err(Missing::Corrupt { why, .. }) => Err(why),
                    Err(Missing::Failed(error)) => return Err(error),
                };
                Ok(Copied { signal: select.signal, key, state: Standing::Queued, batch })
            };
            let mut found: Vec<Copied> = keys.into_iter().map(copy).collect::<Result<_, StoreError>>()?;
            let lanes = shared.lanes(select.signal);
            found.iter_mut().for_each(|copied| copied.state = lanes.standing(copied.key, select.parked));
            Ok(Page { found, next })
        })
        .await
    }
}
