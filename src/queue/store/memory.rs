//! A store in memory that dies as a disk does: what can be read and what would survive a loss of power are kept apart.
//!
//! A [`Disk`] outlives the engines that are opened on it, as a disk outlives processes. It is stricter than RocksDB, which
//! demands that a key is put once and taken once, and never both put and set, but does not check it: here a set of changes
//! that breaks this is refused as a whole, and noted. It knows nothing of what lies in it.

use std::collections::{BTreeMap, HashSet};
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Changes, Engine, Family, View, Visit};
use crate::queue::error::StoreError;

/// What a disk holds, for as long as somebody holds it.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<Platter>>);

/// How a process ends that does not close its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed: what it wrote is with the kernel, nothing is lost.
    Process,
    /// Power is lost: of what was not synced, a beginning remains, cut between two sets of changes. The seed says where.
    Power {
        /// The same seed cuts the same log at the same place.
        seed: u64,
    },
}

#[derive(Debug, Default)]
struct Platter {
    /// What can be read: everything that was committed.
    readable: Families,
    /// What survives in any case.
    durable: Families,
    /// What leads from the second to the first.
    unsynced: Vec<Vec<Change>>,
    /// Rises with each crash: engines that were opened before it write nothing any more.
    life: u64,
    violations: Vec<String>,
}

#[derive(Debug, Clone, Default)]
struct Families {
    cells: BTreeMap<(usize, Vec<u8>), Cell>,
    /// Keys that were put and taken: never to be put again.
    spent: HashSet<(usize, Vec<u8>)>,
}

#[derive(Debug, Clone)]
struct Cell {
    value: Bytes,
    /// Whether it was put, and is to be taken.
    once: bool,
}

#[derive(Debug, Clone)]
enum Change {
    Put(Place, Bytes),
    Take(Place),
    Set(Place, Bytes),
    Delete(Place),
}

type Place = (usize, Vec<u8>);

/// What may be done with a place depends on what was done with it.
#[derive(Debug, Clone, Copy)]
enum State {
    /// Nothing yet, or it was set and deleted.
    Free,
    /// It is to be taken, once.
    Put,
    /// It may be set again, or deleted.
    Set,
    /// It was put and taken, which happens once.
    Spent,
}

impl Disk {
    /// An empty disk.
    pub fn new() -> Disk {
        Disk::default()
    }

    /// Ends the process that uses the disk, as far as the disk is concerned. The sets of changes that were lost.
    pub fn crash(&self, how: Crash) -> usize {
        let mut platter = self.lock();
        platter.life += 1;
        let written = platter.unsynced.len();
        let kept = match how {
            Crash::Process => written,
            Crash::Power { seed } => StdRng::seed_from_u64(seed).random_range(0..=written),
        };
        if let Crash::Power { .. } = how {
            platter.unsynced.truncate(kept);
            platter.settle(); // what is there after a start lies on the disk
            platter.readable = platter.durable.clone();
        }
        written - kept
    }

    /// Sets of changes that a loss of power could take.
    pub fn unsynced(&self) -> usize {
        self.lock().unsynced.len()
    }

    /// What was asked of the store against its rules. Each such set of changes was refused.
    pub fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    /// An engine on this disk, for as long as no crash ends it.
    pub(in crate::queue) fn engine(&self) -> Memory {
        Memory { life: self.lock().life, disk: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Platter {
    fn commit(&mut self, changes: Vec<Change>, sync: bool) -> Result<(), StoreError> {
        if let Err(violation) = self.readable.check(&changes) {
            self.violations.push(violation.clone());
            return Err(StoreError::failed(violation));
        }
        for change in &changes {
            self.readable.apply(change);
        }
        self.unsynced.push(changes);
        if sync {
            self.settle();
        }
        Ok(())
    }

    /// What was written is durable from now on.
    fn settle(&mut self) {
        for change in self.unsynced.drain(..).flatten() {
            self.durable.apply(&change);
        }
    }
}

impl Families {
    /// Whether changes may be made one after the other.
    fn check(&self, changes: &[Change]) -> Result<(), String> {
        let mut states: BTreeMap<&Place, State> = BTreeMap::new();
        for change in changes {
            let place = change.place();
            let state = states.entry(place).or_insert_with(|| match self.cells.get(place) {
                Some(cell) if cell.once => State::Put,
                Some(_) => State::Set,
                None if self.spent.contains(place) => State::Spent,
                None => State::Free,
            });
            *state = match (change, *state) {
                (Change::Put(..), State::Free) => State::Put,
                (Change::Take(..), State::Put) => State::Spent,
                (Change::Set(..), State::Free | State::Set) => State::Set,
                (Change::Delete(..), State::Free | State::Set) => State::Free,
                (_, state) => return Err(format!("against the rules of the store, where it is {state:?}: {change:?}")),
            };
        }
        Ok(())
    }

    fn apply(&mut self, change: &Change) {
        match change.clone() {
            Change::Put(place, value) => drop(self.cells.insert(place, Cell { value, once: true })),
            Change::Set(place, value) => drop(self.cells.insert(place, Cell { value, once: false })),
            Change::Delete(place) => drop(self.cells.remove(&place)),
            Change::Take(place) => {
                self.cells.remove(&place);
                self.spent.insert(place);
            }
        }
    }

    fn get(&self, family: Family, key: &[u8]) -> Option<Vec<u8>> {
        self.cells.get(&place(family, key)).map(|cell| cell.value.to_vec())
    }

    /// Keys and values in `from..to`, copied: the walk holds no lock.
    fn range(&self, family: Family, from: &[u8], to: &[u8]) -> Vec<(Vec<u8>, Bytes)> {
        let (from, to) = (place(family, from), place(family, to));
        if from >= to {
            return Vec::new();
        }
        let range = self.cells.range((Bound::Included(from), Bound::Excluded(to)));
        range.map(|((_, key), cell)| (key.clone(), cell.value.clone())).collect()
    }
}

impl Change {
    fn place(&self) -> &Place {
        match self {
            Change::Put(place, _) | Change::Take(place) | Change::Set(place, _) | Change::Delete(place) => place,
        }
    }
}

fn place(family: Family, key: &[u8]) -> Place {
    let family = Family::ALL.iter().position(|known| *known == family).unwrap_or(Family::ALL.len());
    (family, key.to_vec())
}

fn walk(cells: Vec<(Vec<u8>, Bytes)>, visit: &mut Visit<'_>) {
    for (key, value) in cells {
        if visit(&key, &value) == ControlFlow::Break(()) {
            return;
        }
    }
}

/// A store that is open on a [`Disk`].
pub(in crate::queue) struct Memory {
    life: u64,
    disk: Disk,
}

impl Memory {
    /// The disk, if this engine's process still lives.
    fn alive(&self) -> Result<MutexGuard<'_, Platter>, StoreError> {
        let platter = self.disk.lock();
        match platter.life == self.life {
            true => Ok(platter),
            false => Err(StoreError::failed("the process ended before this")),
        }
    }
}

impl View for Memory {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.alive()?.readable.get(family, key))
    }

    fn walk(&self, family: Family, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let cells = self.alive()?.readable.range(family, from, to);
        walk(cells, visit);
        Ok(())
    }
}

/// What could be read at one moment.
struct Moment(Result<Families, StoreError>);

impl View for Moment {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.as_ref().map_err(Clone::clone)?.get(family, key))
    }

    fn walk(&self, family: Family, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        walk(self.0.as_ref().map_err(Clone::clone)?.range(family, from, to), visit);
        Ok(())
    }
}

struct MemoryChanges<'m> {
    memory: &'m Memory,
    changes: Vec<Change>,
}

impl Changes for MemoryChanges<'_> {
    fn put(&mut self, family: Family, key: &[u8], head: &[u8], body: &[u8]) {
        self.changes.push(Change::Put(place(family, key), [head, body].concat().into()));
    }

    fn take(&mut self, family: Family, key: &[u8]) {
        self.changes.push(Change::Take(place(family, key)));
    }

    /// One that was put in this very set of changes stays.
    fn take_range(&mut self, family: Family, from: &[u8], to: &[u8]) {
        if let Ok(platter) = self.memory.alive() {
            let keys = platter.readable.range(family, from, to).into_iter().map(|(key, _)| key);
            self.changes.extend(keys.map(|key| Change::Take(place(family, &key))));
        }
    }

    fn set(&mut self, family: Family, key: &[u8], value: &[u8]) {
        self.changes.push(Change::Set(place(family, key), Bytes::copy_from_slice(value)));
    }

    fn delete(&mut self, family: Family, key: &[u8]) {
        self.changes.push(Change::Delete(place(family, key)));
    }

    fn commit(self: Box<Self>, sync: bool) -> Result<(), StoreError> {
        self.memory.alive()?.commit(self.changes, sync)
    }
}

impl Engine for Memory {
    fn begin(&self, _: usize) -> Box<dyn Changes + '_> {
        Box::new(MemoryChanges { memory: self, changes: Vec::new() })
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.alive()?.settle();
        Ok(())
    }

    fn view(&self) -> Box<dyn View + '_> {
        Box::new(Moment(self.alive().map(|platter| platter.readable.clone())))
    }

    fn reclaim(&self, _: Family, _: &[u8], _: &[u8]) -> Result<(), StoreError> {
        self.alive().map(drop) // what is taken takes no space here
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Signal;

    const LOGS: Family = Family::Records(Signal::Logs);

    type Write<'w> = &'w dyn Fn(&mut dyn Changes);

    fn commit(engine: &Memory, sync: bool, write: Write<'_>) -> Result<(), StoreError> {
        let mut changes = engine.begin(0);
        write(changes.as_mut());
        changes.commit(sync)
    }

    fn keys(view: &dyn View) -> Vec<u8> {
        let mut keys = Vec::new();
        let visit = &mut |key: &[u8], _: &[u8]| {
            keys.push(key[0]);
            ControlFlow::Continue(())
        };
        view.walk(LOGS, &[0], &[255], visit).unwrap();
        keys
    }

    /// Scenario: some sets of changes are synced, some are not; then power is lost, under many seeds. Guarantee: what was
    /// synced is there, the rest is cut at each place there is, and what is there is a beginning of what was written.
    #[test]
    fn a_loss_of_power_leaves_a_beginning() {
        let mut seen = HashSet::new();
        for seed in 0..100 {
            let disk = Disk::new();
            let engine = disk.engine();
            for key in 1..=6 {
                commit(&engine, key == 3, &|changes| changes.put(LOGS, &[key], b"head", b"body")).unwrap();
            }
            assert_eq!((disk.unsynced(), keys(&engine)), (3, vec![1, 2, 3, 4, 5, 6]));
            let lost = disk.crash(Crash::Power { seed });
            assert!(
                commit(&engine, true, &|_| {}).is_err() && engine.get(LOGS, &[1]).is_err(),
                "it is of a life before"
            );
            let left = keys(&disk.engine());
            assert_eq!(left, (1..=6 - lost as u8).collect::<Vec<_>>());
            assert_eq!(
                disk.crash(Crash::Power { seed }),
                0,
                "what was read after a start is not lost by the next crash"
            );
            seen.insert(lost);
        }
        assert_eq!(seen, HashSet::from([0, 1, 2, 3]));
    }

    #[test]
    fn the_end_of_the_process_loses_nothing() {
        let disk = Disk::new();
        commit(&disk.engine(), false, &|changes| changes.put(LOGS, &[1], b"", b"")).unwrap();
        assert_eq!(disk.crash(Crash::Process), 0);
        assert_eq!((keys(&disk.engine()), disk.unsynced()), (vec![1], 1), "but it is still not safe from power");
    }

    /// Scenario: each thing that RocksDB leaves undefined. Guarantee: it is refused as a whole, and noted; nothing of it is there.
    #[test]
    fn what_rocksdb_does_not_check_is_refused() {
        let wrong: [Write<'_>; 8] = [
            &|changes| changes.put(LOGS, &[1], b"", b""),
            &|changes| changes.put(LOGS, &[2], b"", b""),
            &|changes| changes.take(LOGS, &[3]),
            &|changes| changes.take(LOGS, &[2]),
            &|changes| changes.set(LOGS, &[1], b""),
            &|changes| changes.delete(LOGS, &[1]),
            &|changes| changes.take(Family::Meta, &[1]),
            &|changes| {
                changes.put(LOGS, &[9], b"", b"");
                changes.take(LOGS, &[9]);
                changes.take(LOGS, &[9]);
            },
        ];
        let disk = Disk::new();
        let engine = disk.engine();
        commit(&engine, false, &|changes| {
            changes.put(LOGS, &[1], b"", b"");
            changes.put(LOGS, &[2], b"", b"");
            changes.take(LOGS, &[2]);
            changes.set(Family::Meta, &[1], b"a");
            changes.set(Family::Meta, &[1], b"b");
            changes.set(Family::Meta, &[2], b"");
            changes.delete(Family::Meta, &[2]);
            changes.delete(Family::Meta, &[2]);
        })
        .unwrap();
        for (index, write) in wrong.into_iter().enumerate() {
            assert!(commit(&engine, false, write).is_err(), "{index}");
        }
        assert_eq!((disk.violations().len(), keys(&engine), disk.unsynced()), (8, vec![1], 1));
    }

    /// Scenario: a view is taken, then the store changes. Guarantee: the view shows its instant.
    #[test]
    fn a_view_shows_one_instant() {
        let disk = Disk::new();
        let engine = disk.engine();
        commit(&engine, false, &|changes| changes.put(LOGS, &[1], b"", b"")).unwrap();
        let view = engine.view();
        commit(&engine, false, &|changes| changes.take(LOGS, &[1])).unwrap();
        assert_eq!((keys(view.as_ref()), keys(&engine)), (vec![1], vec![]));
    }
}
