//! The numbers of the parts that a split makes of a batch.
//!
//! The parts of a request stand where it stood, in order, each under a number of its own; no number is given twice, since
//! it is a part of a name on the wire. So the numbers 0 to 65534 are laid out as a binary tree, parent before left half
//! before right half: 0 is the request as it came, and a number alone says how much room lies behind it, without anything
//! being remembered of the splits before. A request can be halved fifteen times over; what has no room left cannot be split.

use crate::batch::Key;

/// Levels of the tree: it holds 2^16 - 1 numbers.
const LEVELS: u32 = 16;

/// A number, and the levels of the tree that begins with it.
#[derive(Debug, Clone, Copy)]
struct Node {
    part: u16,
    levels: u32,
}

impl Node {
    fn of(part: u16) -> Node {
        let mut node = Node { part: 0, levels: LEVELS };
        while node.part != part && node.levels > 1 {
            node = if part < node.right().part { node.left() } else { node.right() };
        }
        node
    }

    fn left(self) -> Node {
        Node { part: self.part + 1, levels: self.levels - 1 }
    }

    fn right(self) -> Node {
        Node { part: self.part + (1 << (self.levels - 1)), levels: self.levels - 1 }
    }

    fn allot(self, parts: usize, allotted: &mut Vec<u16>) {
        match parts {
            0 => {}
            1 => allotted.push(self.part),
            _ => {
                self.left().allot(parts.div_ceil(2), allotted);
                self.right().allot(parts / 2, allotted);
            }
        }
    }
}

/// Into how many parts a batch can be split at most; 1 when there is no room for any.
pub(super) fn room(key: Key) -> usize {
    1 << (Node::of(key.part).levels - 1)
}

/// The keys of so many parts of a batch, in order; `None` when it cannot be split into so many, or into fewer than two.
pub(super) fn split(key: Key, parts: usize) -> Option<Vec<Key>> {
    if parts < 2 || parts > room(key) {
        return None;
    }
    let mut allotted = Vec::with_capacity(parts);
    Node::of(key.part).allot(parts, &mut allotted);
    Some(allotted.into_iter().map(|part| Key { part, ..key }).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_can_be_halved_fifteen_times() {
        for first in [true, false] {
            let mut key = Key::new(7);
            for halvings in 0..15 {
                assert_eq!(room(key), 1 << (15 - halvings));
                let halves = split(key, 2).unwrap();
                key = if first { halves[0] } else { halves[1] };
                assert_eq!(key.seq, 7);
            }
            assert_eq!((room(key), split(key, 2)), (1, None));
        }
        assert_eq!(split(Key::new(1), 1 << 15).unwrap().len(), 1 << 15);
        assert_eq!((split(Key::new(1), 1), split(Key::new(1), (1 << 15) + 1)), (None, None));
    }

    proptest! {
        /// Scenario: a request is split, and its parts again, in any way. Guarantee: the parts that live stand in the order in
        /// which they were cut, before the next request, and no number is given twice.
        #[test]
        fn parts_keep_their_place_and_their_numbers(splits in prop::collection::vec((any::<prop::sample::Index>(), 2usize..9), 1..60)) {
            let mut live = vec![(Key::new(3), String::new())];
            let mut given = BTreeSet::from([Key::new(3)]);
            for (which, parts) in splits {
                let which = which.index(live.len());
                let (key, path) = live[which].clone();
                if let Some(keys) = split(key, parts) {
                    prop_assert!(keys.iter().all(|key| given.insert(*key)), "given twice");
                    let parts = keys.into_iter().enumerate().map(|(index, key)| (key, format!("{path}{index}")));
                    live.splice(which..=which, parts);
                } else {
                    prop_assert!(parts > room(key));
                }
            }
            prop_assert!(live.is_sorted(), "{live:?}");
            prop_assert!(live.last().unwrap().0 < Key::new(4));
        }
    }
}
