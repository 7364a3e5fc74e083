//! Which batches a question is about, and the walk over the index that finds them.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::batch::{Key, Signal};
use crate::queue::codec::Garbled;
use crate::queue::codec::twin::Twin;
use crate::queue::error::StoreError;
use crate::queue::lanes::Stored;
use crate::queue::reader::{Missing, read_one, read_parked};
use crate::queue::store::{Family, View, keys};

/// Index entries passed in one slice, fitting or not: a few milliseconds.
const STEP: usize = 8192;

/// Batches of one signal, by place and age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Select {
    /// Which queue.
    pub signal: Signal,
    /// Those that are parked, or those that stand in line.
    #[serde(default)]
    pub parked: bool,
    /// The first key; nothing for the beginning.
    #[serde(default = "first", with = "super::key_text")]
    pub from: Key,
    /// The last key.
    #[serde(default = "last", with = "super::key_text")]
    pub to: Key,
    /// Received at this time or later, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub received_from_ms: u64,
    /// Received before this time.
    #[serde(default = "ever")]
    pub received_before_ms: u64,
}

fn first() -> Key {
    Key::new(0)
}

fn last() -> Key {
    Key { seq: u64::MAX, part: u16::MAX }
}

fn ever() -> u64 {
    u64::MAX
}

impl Select {
    /// Everything of a signal.
    pub fn all(signal: Signal) -> Select {
        Select { signal, parked: false, from: first(), to: last(), received_from_ms: 0, received_before_ms: ever() }
    }

    /// The keys asked for, for a walk over the index.
    fn bounds(&self, low: Key) -> (keys::SignalKey, keys::SignalKey) {
        match (self.parked, self.end()) {
            (true, end) => (keys::parked(self.signal, self.from.min(end)), keys::parked(self.signal, end)),
            // What lies below `low` are deletions.
            (false, end) => (keys::of(self.signal, self.from.max(low).min(end)), keys::of(self.signal, end)),
        }
    }

    /// The first key behind those asked for.
    pub(super) fn end(&self) -> Key {
        if self.to.seq == u64::MAX { self.to } else { keys::after(self.to) }
    }

    pub(super) fn is_of_age(&self, received_at_ms: u64) -> bool {
        (self.received_from_ms..self.received_before_ms).contains(&received_at_ms)
    }

    /// Visits the index entries that fit, in rising order, until `visit` breaks before one of them. Returns where to go on.
    pub(super) fn walk(
        &self,
        view: &dyn View,
        low: Key,
        visit: &mut dyn FnMut(Key, Result<Twin, Garbled>) -> ControlFlow<()>,
    ) -> Result<Option<Key>, StoreError> {
        let (from, to) = self.bounds(low);
        let (mut passed, mut next) = (0, None);
        view.walk(Family::Index, from.as_ref(), to.as_ref(), &mut |key, value| {
            let key = if self.parked { keys::parse_parked(key) } else { keys::parse(key) };
            let Some((_, key)) = key else {
                return ControlFlow::Continue(());
            };
            let twin = Twin::decode(value); // the entry of one that is parked begins with it
            let fits = twin.as_ref().map_or(true, |twin| self.is_of_age(twin.received_at_ms));
            if passed == STEP || (fits && visit(key, twin).is_break()) {
                next = Some(key);
                return ControlFlow::Break(());
            }
            passed += 1;
            ControlFlow::Continue(())
        })?;
        Ok(next)
    }

    /// Reads one of them.
    pub(super) fn read(&self, view: &dyn View, key: Key) -> Result<Stored, Missing> {
        if self.parked { read_parked(view, self.signal, key) } else { read_one(view, self.signal, key) }
    }
}
