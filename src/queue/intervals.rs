//! Keys in coalesced intervals: which batches are owed to the primary.
//!
//! An interval may run over keys that are no longer live; all live keys within it are owed. So a long stay on a fallback is
//! a handful of intervals, however many batches went there. It does no I/O: it says what is to be written.

use std::collections::BTreeMap;

use crate::batch::Key;

/// Intervals with both ends included, apart from each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Intervals(BTreeMap<Key, Key>);

/// A change of the intervals, as it is written and as a copy of them follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    /// The interval that begins at the first key ends at the last.
    Set(Key, Key),
    /// No interval begins at this key any more.
    Remove(Key),
}

impl Intervals {
    /// Follows an edit that another copy made.
    pub(super) fn apply(&mut self, edit: Edit) {
        match edit {
            Edit::Set(first, last) => self.0.insert(first, last),
            Edit::Remove(first) => self.0.remove(&first),
        };
    }

    /// Adds a key. `empty(a, b)` says that nothing live lies strictly between two keys, so that they may share an interval.
    pub(super) fn insert(&mut self, key: Key, empty: impl Fn(Key, Key) -> bool, edits: &mut Vec<Edit>) {
        if self.contains(key) {
            return;
        }
        let before = self.0.range(..key).next_back().map(|(first, last)| (*first, *last));
        let next = self.0.range(key..).next().map(|(first, last)| (*first, *last));
        let (mut first, mut last) = (key, key);
        if let Some((start, end)) = before
            && empty(end, key)
        {
            first = start;
        }
        if let Some((start, end)) = next
            && empty(key, start)
        {
            last = end;
            edits.push(Edit::Remove(start));
            self.0.remove(&start);
        }
        edits.push(Edit::Set(first, last));
        self.0.insert(first, last);
    }

    /// Joins the intervals on both sides of a key that is no longer live, if nothing live parts them any more.
    pub(super) fn bridge(&mut self, key: Key, empty: impl Fn(Key, Key) -> bool, edits: &mut Vec<Edit>) {
        let before = self.0.range(..key).next_back().map(|(first, last)| (*first, *last));
        let next = self.0.range(key..).next().map(|(first, last)| (*first, *last));
        if let (Some((first, end)), Some((start, last))) = (before, next)
            && end < key
            && empty(end, start)
        {
            edits.extend([Edit::Remove(start), Edit::Set(first, last)]);
            self.0.remove(&start);
            self.0.insert(first, last);
        }
    }

    /// Parts up to `last` took the place of a key that lies in an interval: they lie in it, too.
    pub(super) fn extend(&mut self, key: Key, last: Key, edits: &mut Vec<Edit>) {
        if let Some((first, end)) = self.0.range_mut(..=key).next_back()
            && *end < last
        {
            *end = last;
            edits.push(Edit::Set(*first, last));
        }
    }

    /// Forgets the intervals that end below a key.
    pub(super) fn trim(&mut self, low: Key, edits: &mut Vec<Edit>) {
        while let Some(entry) = self.0.first_entry()
            && *entry.get() < low
        {
            edits.push(Edit::Remove(*entry.key()));
            entry.remove();
        }
    }

    /// Forgets what lies below a key; an interval that reaches over it begins there.
    pub(super) fn cut(&mut self, below: Key, edits: &mut Vec<Edit>) {
        self.trim(below, edits);
        if let Some((first, last)) = self.0.first_key_value().map(|(first, last)| (*first, *last))
            && first < below
        {
            self.0.remove(&first);
            self.0.insert(below, last);
            edits.extend([Edit::Remove(first), Edit::Set(below, last)]);
        }
    }

    /// Whether a key lies in one of them.
    pub(super) fn contains(&self, key: Key) -> bool {
        self.0.range(..=key).next_back().is_some_and(|(_, last)| *last >= key)
    }

    /// The first interval that ends at `key` or later.
    pub(super) fn at_or_after(&self, key: Key) -> Option<(Key, Key)> {
        let here = self.0.range(..=key).next_back().filter(|(_, last)| **last >= key);
        here.or_else(|| self.0.range(key..).next()).map(|(first, last)| (*first, *last))
    }

    /// Each interval's first and last key, in rising order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, Key)> {
        self.0.iter().map(|(first, last)| (*first, *last))
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn key(seq: u64) -> Key {
        Key::new(seq)
    }

    /// Scenario: batches are taken by a fallback out of order. Guarantee: in the end one interval holds them.
    #[test]
    fn neighbours_share_an_interval() {
        let mut intervals = Intervals::default();
        let live = |a: Key, b: Key| b.seq == a.seq + 1;
        for seq in [5, 7, 6, 9] {
            intervals.insert(key(seq), live, &mut Vec::new());
        }
        assert_eq!(intervals.len(), 2);
        assert_eq!(intervals.at_or_after(key(1)), Some((key(5), key(7))));
        assert_eq!(intervals.at_or_after(key(6)), Some((key(5), key(7))));
        assert_eq!(intervals.at_or_after(key(8)), Some((key(9), key(9))));
        intervals.bridge(key(8), |_, _| true, &mut Vec::new());
        assert_eq!(intervals.at_or_after(key(8)), Some((key(5), key(9))));
        intervals.trim(key(10), &mut Vec::new());
        assert_eq!(intervals, Intervals::default());
    }

    proptest! {
        /// Scenario: any order of batches that become owed or go. Guarantee: the intervals hold every owed live batch and
        /// no other live one, and a copy that follows the edits is equal.
        #[test]
        fn intervals_hold_what_is_owed_and_nothing_else_that_lives(steps in prop::collection::vec((0u64..40, 0u8..4), 0..120)) {
            let mut live: BTreeSet<u64> = (0..40).collect();
            let mut owed = BTreeSet::new();
            let (mut intervals, mut copy) = (Intervals::default(), Intervals::default());
            for (seq, what) in steps {
                let mut edits = Vec::new();
                if what == 0 {
                    live.remove(&seq);
                    owed.remove(&seq);
                    let empty = |a: Key, b: Key| live.range(a.seq + 1..b.seq).all(|seq| owed.contains(seq));
                    intervals.bridge(key(seq), empty, &mut edits);
                } else if live.contains(&seq) {
                    owed.insert(seq);
                    let empty = |a: Key, b: Key| live.range(a.seq + 1..b.seq).all(|seq| owed.contains(seq));
                    intervals.insert(key(seq), empty, &mut edits);
                }
                for edit in edits {
                    copy.apply(edit);
                }
                for seq in &live {
                    prop_assert_eq!(intervals.contains(key(*seq)), owed.contains(seq));
                }
            }
            prop_assert_eq!(intervals, copy);
        }
    }
}
