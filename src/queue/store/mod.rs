//! The bottom of the queue: what it asks of an ordered store, so that RocksDB is named in one file.
//!
//! A store keeps byte keys in order within a [`Family`], applies a set of changes as a whole or not at all, and shows a
//! [`View`] of one instant. It knows nothing of batches, ledgers or leases.

pub(super) mod keys;
pub(super) mod memory;
pub(super) mod remains;
pub(super) mod rocks;

use std::ops::ControlFlow;

use super::error::StoreError;
use crate::batch::Signal;

/// A family of keys with options and files of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Family {
    /// Records of one signal; separate, so that a stuck signal never pins another one's files.
    Records(Signal),
    /// A small twin of each live record, put and taken with it: what scans and recounts read instead of bodies.
    Index,
    /// Dead letters.
    Dead,
    /// Suspects, kept apart so that they pin no file of their signal.
    Parked,
    /// Owed intervals.
    Owed,
    /// Store id, epoch, ledgers.
    Meta,
}

impl Family {
    /// Every family.
    pub(super) const ALL: [Family; 8] = [
        Family::Records(Signal::Traces),
        Family::Records(Signal::Metrics),
        Family::Records(Signal::Logs),
        Family::Index,
        Family::Dead,
        Family::Parked,
        Family::Owed,
        Family::Meta,
    ];

    /// Those that hold bodies, which is where space is to be given back.
    pub(super) const BODIES: [Family; 5] = [
        Family::Records(Signal::Traces),
        Family::Records(Signal::Metrics),
        Family::Records(Signal::Logs),
        Family::Dead,
        Family::Parked,
    ];

    /// Its place in [`Family::ALL`].
    pub(super) const fn index(self) -> usize {
        match self {
            Family::Records(signal) => signal.index(),
            Family::Index => 3,
            Family::Dead => 4,
            Family::Parked => 5,
            Family::Owed => 6,
            Family::Meta => 7,
        }
    }

    /// The name on disk.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Family::Records(signal) => signal.as_str(),
            Family::Index => "index",
            Family::Dead => "dead",
            Family::Parked => "parked",
            Family::Owed => "owed",
            Family::Meta => "meta",
        }
    }
}

/// What a walk calls for each key and value, in rising order, until it breaks.
pub(super) type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'v;

/// Something that can be read.
pub(super) trait View {
    /// The value of a key.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Walks the keys in `from..to`. Both bounds are asked for, since a walk from the start of a family passes every
    /// deletion since its last compaction: thousands of times slower than one that starts where the live keys do.
    fn walk(&self, family: Family, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;
}

/// Changes that happen together or not at all.
pub(super) trait Changes {
    /// Puts `head` and `body`, joined, under a key that lives once: put a single time, then [`take`](Changes::take)n.
    fn put(&mut self, family: Family, key: &[u8], head: &[u8], body: &[u8]);

    /// Removes a key that was [`put`](Changes::put) exactly once. Never to be mixed with [`delete`](Changes::delete).
    fn take(&mut self, family: Family, key: &[u8]);

    /// Removes the keys in `from..to`, each of which was [`put`](Changes::put) once at most, taken or not.
    fn take_range(&mut self, family: Family, from: &[u8], to: &[u8]);

    /// Writes a key that is written again and again.
    fn set(&mut self, family: Family, key: &[u8], value: &[u8]);

    /// Removes a key that was [`set`](Changes::set).
    fn delete(&mut self, family: Family, key: &[u8]);

    /// Applies them. With `sync`, they and everything before them survive the loss of power once this returns.
    /// After an error it is unknown which of them will be there after a restart.
    fn commit(self: Box<Self>, sync: bool) -> Result<(), StoreError>;
}

/// A store. One owner thread writes, others read.
pub(super) trait Engine: View + Send + Sync {
    /// Starts a set of changes of about that many bytes.
    fn begin(&self, bytes: usize) -> Box<dyn Changes + '_>;

    /// Makes what was committed so far survive the loss of power.
    fn sync(&self) -> Result<(), StoreError>;

    /// A view of this instant. It pins what it sees, so it must not live long.
    fn view(&self) -> Box<dyn View + '_>;

    /// Gives back the space of what was taken of a family in `from..=to`. May take seconds.
    fn reclaim(&self, family: Family, from: &[u8], to: &[u8]) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_its_place() {
        assert_eq!(Family::ALL.map(Family::index), std::array::from_fn(|place| place));
    }
}
