//! The check of every record: its checksums, and index against records both ways.
//!
//! The recount ([`Queue::recount`]) holds the books against the index; this holds the index against what lies in the queue.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::{SLICE_BYTES, Select};
use crate::batch::{Key, Signal};
use crate::queue::Queue;
use crate::queue::codec::record;
use crate::queue::codec::twin::Twin;
use crate::queue::error::{QueueError, StoreError};
use crate::queue::reader::Missing;
use crate::queue::store::{Family, View, keys};

/// What a slice of the check found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Checked {
    /// Records that are what the index says.
    pub batches: u64,
    /// Items in them.
    pub items: u64,
    /// Bytes of their bodies and kept headers.
    pub bytes: u64,
    /// What is wrong.
    pub damages: Vec<Damage>,
    /// Where to go on; `None` at the end.
    #[serde(with = "super::key_text::option")]
    pub next: Option<Key>,
}

/// A record that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Which queue.
    pub signal: Signal,
    /// Its place in there.
    #[serde(with = "super::key_text")]
    pub key: Key,
    /// What is wrong with it, as a sentence.
    pub what: String,
}

impl Queue {
    /// Checks a slice of the records from a key on, those in line or those that are parked. Changes nothing: what is damaged is moved to the dead letters when
    /// delivery comes by.
    pub async fn verify(&self, signal: Signal, parked: bool, from: Key) -> Result<Checked, QueueError> {
        self.look(move |engine, _| {
            let view = engine.view(); // one instant for index and records, or what is settled meanwhile looks lost
            check(view.as_ref(), Select { from, parked, ..Select::all(signal) }) // and not from `low`: that would take its word
        })
        .await
    }
}

fn check(view: &dyn View, select: Select) -> Result<Checked, StoreError> {
    let (mut twins, mut bytes) = (BTreeMap::new(), 0);
    let next = select.walk(view, Key::new(0), &mut |key, twin| {
        bytes += twin.as_ref().map_or(0, |twin| twin.weight);
        if bytes > SLICE_BYTES && !twins.is_empty() {
            return ControlFlow::Break(());
        }
        twins.insert(key, twin);
        ControlFlow::Continue(())
    })?;
    let mut checked = Checked { next, ..Checked::default() };
    let mut damaged = |key, what: String| checked.damages.push(Damage { signal: select.signal, key, what });
    let end = next.unwrap_or(select.end());
    let (family, from, to) = match select.parked {
        true => {
            (Family::Parked, bytes_of(keys::of(select.signal, select.from)), bytes_of(keys::of(select.signal, end)))
        }
        false => (Family::Records(select.signal), bytes_of(select.from.encode()), bytes_of(end.encode())),
    };
    // Keys alone would do for the way from records to index, but a walk reads the values too: one pass serves both ways.
    let walked = view.walk(family, &from, &to, &mut |key, value| {
        let key = if select.parked { keys::parse(key).map(|(_, key)| key) } else { Key::decode(key) };
        let Some(key) = key else {
            return ControlFlow::Continue(());
        };
        match twins.remove(&key) {
            None => damaged(key, "the record is not in the index".to_owned()),
            Some(Err(garbled)) => damaged(key, garbled.to_string()),
            Some(Ok(twin)) => match record::decode(value.to_vec()) {
                Ok((batch, _)) if fits(&twin, &batch) => {
                    checked.batches += 1;
                    checked.items += u64::from(twin.items);
                    checked.bytes += twin.weight;
                }
                Ok(_) => damaged(key, "the index tells of another record".to_owned()),
                Err((garbled, _)) => damaged(key, garbled.to_string()),
            },
        }
        ControlFlow::Continue(())
    });
    // A walk ends at a file that cannot be read; what it did not reach is asked for one by one.
    for (key, twin) in twins {
        match (select.read(view, key), twin) {
            (Ok(stored), Ok(twin)) if walked.is_err() && fits(&twin, &stored.batch) => {
                checked.batches += 1;
                checked.items += u64::from(twin.items);
                checked.bytes += twin.weight;
            }
            (Err(Missing::Corrupt { why, .. }), _) => damaged(key, why),
            (Err(Missing::Failed(error)), _) => return Err(error),
            (Ok(_), Err(garbled)) => damaged(key, garbled.to_string()),
            (Ok(_), Ok(_)) => damaged(key, "the index tells of another record".to_owned()),
        }
    }
    match walked {
        Err(error) if !error.is_corrupt() => Err(error),
        _ => Ok(checked),
    }
}

fn fits(twin: &Twin, batch: &crate::batch::Batch) -> bool {
    let said = (twin.items, twin.weight, twin.received_at_ms, twin.crc);
    said == (batch.items, batch.weight() as u64, batch.received_at_ms, crc32c::crc32c(&batch.body))
}

fn bytes_of(key: impl AsRef<[u8]>) -> Vec<u8> {
    key.as_ref().to_vec()
}
