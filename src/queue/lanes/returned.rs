//! Batches whose lease ended without a settle, some of them held for a while.
//!
//! Asking who is next costs the same however many are held: those that may go are kept apart from those that wait. What came from
//! the fresh lane and was not looked at is fresh still, until it is too old for that: behind the backlog it would be late because
//! its target had asked for a pause.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeBounds};

use tokio::time::Instant;

use super::Held;
use crate::batch::Key;
use crate::queue::lease::Taker;

/// Those that came back, in kinds.
#[derive(Debug, Default)]
pub(super) struct Returned {
    backlog: Kind,
    /// Part of the fresh lane.
    fresh: Kind,
    /// A fallback never gets them.
    owed: Kind,
}

#[derive(Debug, Default)]
struct Kind {
    all: BTreeMap<Key, Back>,
    /// Those that may be leased,
    ready: BTreeSet<Key>,
    /// and the others, soonest first. One whose time has come may still stand here.
    waiting: BTreeSet<(Instant, Key)>,
}

#[derive(Debug)]
struct Back {
    held: Held,
    not_before: Option<Instant>,
}

impl Returned {
    pub(super) fn insert(&mut self, key: Key, held: Held, not_before: Option<Instant>) {
        let kind = match (held.owed, held.came_in) {
            (true, _) => &mut self.owed,
            (false, Some(_)) => &mut self.fresh,
            (false, None) => &mut self.backlog,
        };
        kind.insert(key, held, not_before);
    }

    /// What came in before that moment is backlog from now on.
    pub(super) fn age(&mut self, before: Instant) {
        while let Some((key, back)) = self.fresh.all.first_key_value()
            && back.held.came_in.is_none_or(|at| at < before)
        {
            let (key, not_before) = (*key, back.not_before);
            if let Some(held) = self.fresh.remove(key) {
                self.backlog.insert(key, Held { came_in: None, ..held }, not_before);
            }
        }
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Held> {
        self.kinds_mut().find_map(|kind| kind.remove(key))
    }

    pub(super) fn remove_range(&mut self, range: &Range<Key>) {
        for kind in self.kinds_mut() {
            while let Some((key, _)) = kind.all.range(range.clone()).next() {
                let key = *key;
                kind.remove(key);
            }
        }
    }

    /// The lowest of the fresh ones that may be leased now.
    pub(super) fn fresh(&mut self, now: Instant) -> Option<Key> {
        self.fresh.ready(now)
    }

    /// The lowest of the others that may be leased now.
    pub(super) fn ready(&mut self, taker: Taker, now: Instant) -> Option<Key> {
        self.late_for(taker).filter_map(|kind| kind.ready(now)).min()
    }

    /// Whether it was never sent, as far as one knows.
    pub(super) fn is_untried(&self, key: Key) -> bool {
        self.kinds_for(Taker::Primary).filter_map(|kind| kind.all.get(&key)).any(|back| back.held.attempts == 0)
    }

    /// Of those that may be leased now, the lowest of those that were leased least often.
    pub(super) fn least_tried(&mut self, taker: Taker, now: Instant) -> Option<Key> {
        let ready = self.late_for(taker).flat_map(|kind| {
            kind.ready(now);
            kind.ready.iter().map(|key| (kind.all.get(key).map(|back| back.held.attempts), *key))
        });
        ready.min().map(|(_, key)| key)
    }

    /// The lowest, and until when it is held.
    pub(super) fn first_of(&self, taker: Taker) -> Option<(Key, Option<Instant>)> {
        let firsts = self.kinds_for(taker).filter_map(|kind| kind.all.first_key_value());
        firsts.map(|(key, back)| (*key, back.not_before)).min_by_key(|(key, _)| *key)
    }

    /// When the next of those that wait may be leased.
    pub(super) fn next_ready(&self, taker: Taker, now: Instant) -> Option<Instant> {
        let waiting =
            self.kinds_for(taker).flat_map(|kind| kind.waiting.iter().map(|(at, _)| *at).find(|at| *at > now));
        waiting.min()
    }

    /// The lowest of all.
    pub(super) fn first(&self) -> Option<Key> {
        self.first_of(Taker::Primary).map(|(key, _)| key)
    }

    pub(super) fn len(&self) -> usize {
        self.kinds_for(Taker::Primary).map(|kind| kind.all.len()).sum()
    }

    pub(super) fn keys_in(&self, range: impl RangeBounds<Key> + Clone) -> impl Iterator<Item = Key> {
        self.kinds_for(Taker::Primary).flat_map(move |kind| kind.all.range(range.clone()).map(|(key, _)| *key))
    }

    /// Whether all of them in that range are owed.
    pub(super) fn only_owed_in(&self, range: impl RangeBounds<Key> + Clone) -> bool {
        self.kinds_for(Taker::Fallback).all(|kind| kind.all.range(range.clone()).next().is_none())
    }

    fn kinds_mut(&mut self) -> impl Iterator<Item = &mut Kind> {
        [&mut self.backlog, &mut self.fresh, &mut self.owed].into_iter()
    }

    /// The kinds that taker may get: all of them, or those that are not owed.
    fn kinds_for(&self, taker: Taker) -> impl Iterator<Item = &Kind> {
        let owed = (taker == Taker::Primary).then_some(&self.owed);
        [&self.backlog, &self.fresh].into_iter().chain(owed)
    }

    /// The same without the fresh ones.
    fn late_for(&mut self, taker: Taker) -> impl Iterator<Item = &mut Kind> {
        let owed = (taker == Taker::Primary).then_some(&mut self.owed);
        [&mut self.backlog].into_iter().chain(owed)
    }
}

impl Kind {
    fn insert(&mut self, key: Key, held: Held, not_before: Option<Instant>) {
        match not_before {
            Some(at) => self.waiting.insert((at, key)),
            None => self.ready.insert(key),
        };
        self.all.insert(key, Back { held, not_before });
    }

    fn remove(&mut self, key: Key) -> Option<Held> {
        let Back { held, not_before } = self.all.remove(&key)?;
        self.ready.remove(&key);
        not_before.map(|at| self.waiting.remove(&(at, key)));
        Some(held)
    }

    fn ready(&mut self, now: Instant) -> Option<Key> {
        while let Some((_, key)) = self.waiting.first().copied().filter(|(at, _)| *at <= now) {
            self.waiting.pop_first();
            self.ready.insert(key);
        }
        self.ready.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn held(owed: bool) -> Held {
        Held::new(1, 1, owed)
    }

    /// Scenario: batches come back, some held, some owed. Guarantee: the lowest that is not held comes first, a fallback gets
    /// no owed one, and each comes once its time has come.
    #[test]
    fn the_lowest_that_may_go_comes_first() {
        let (mut returned, now) = (Returned::default(), Instant::now());
        let second = Duration::from_secs(1);
        returned.insert(Key::new(1), held(false), Some(now + 2 * second));
        returned.insert(Key::new(2), held(true), None);
        returned.insert(Key::new(3), held(false), Some(now + second));
        returned.insert(Key::new(4), held(false), None);
        let ready = |returned: &mut Returned, taker, at| returned.ready(taker, at).map(|key| key.seq);
        assert_eq!(ready(&mut returned, Taker::Primary, now), Some(2));
        assert_eq!(ready(&mut returned, Taker::Fallback, now), Some(4));
        assert_eq!(returned.next_ready(Taker::Primary, now), Some(now + second));
        assert_eq!(ready(&mut returned, Taker::Fallback, now + second), Some(3));
        assert_eq!(returned.next_ready(Taker::Primary, now + second), Some(now + 2 * second));
        assert_eq!(ready(&mut returned, Taker::Primary, now + 2 * second), Some(1));
        assert_eq!(returned.first_of(Taker::Fallback), Some((Key::new(1), Some(now + 2 * second))));
        assert_eq!((returned.remove(Key::new(1)), returned.remove(Key::new(1))), (Some(held(false)), None));
        assert_eq!((returned.first().map(|key| key.seq), returned.len()), (Some(2), 3));
        assert!(returned.only_owed_in(..Key::new(3)) && !returned.only_owed_in(Key::new(3)..));
        returned.remove_range(&(Key::new(0)..Key::new(4)));
        assert_eq!((ready(&mut returned, Taker::Primary, now + second), returned.len()), (Some(4), 1));
        assert_eq!(returned.keys_in(..).collect::<Vec<_>>(), [Key::new(4)]);
    }

    /// Scenario: fresh batches come back, one of them held. Guarantee: they are no backlog until they are too old to be fresh, and
    /// then as any other.
    #[test]
    fn what_is_fresh_stays_so_until_it_is_too_old() {
        let (mut returned, now) = (Returned::default(), Instant::now());
        let second = Duration::from_secs(1);
        for seq in 1..=3 {
            let held = Held { came_in: Some(now + seq * second), ..held(false) };
            returned.insert(Key::new(seq.into()), held, (seq == 2).then_some(now + 9 * second));
        }
        assert_eq!(returned.fresh(now).map(|key| key.seq), Some(1));
        assert_eq!(
            (returned.ready(Taker::Primary, now), returned.next_ready(Taker::Fallback, now)),
            (None, Some(now + 9 * second))
        );
        assert!(!returned.only_owed_in(..) && returned.first() == Some(Key::new(1)));
        returned.age(now + 3 * second);
        assert_eq!((returned.fresh(now).map(|key| key.seq), returned.len()), (Some(3), 3));
        assert_eq!(returned.ready(Taker::Fallback, now).map(|key| key.seq), Some(1));
        assert_eq!(returned.remove(Key::new(1)).map(|held| held.came_in), Some(None));
        assert_eq!(
            (returned.ready(Taker::Primary, now), returned.ready(Taker::Primary, now + 9 * second)),
            (None, Some(Key::new(2)))
        );
    }
}
