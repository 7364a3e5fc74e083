//! Batches that a target may have although it never said so: what a repeat is counted by. Pure, bounded.

use std::collections::{BTreeSet, VecDeque};

use crate::batch::Key;

/// Batches that are remembered; beyond it the oldest is forgotten and its repeat goes uncounted.
const REMEMBERED: usize = 16_384;

/// Requests to one target whose answers never came.
#[derive(Debug, Default)]
pub struct InDoubt {
    keys: BTreeSet<Key>,
    order: VecDeque<Key>,
}

impl InDoubt {
    /// The request got no answer.
    pub fn add(&mut self, key: Key) {
        if self.keys.insert(key) {
            self.order.push_back(key);
        }
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.keys.remove(&oldest);
            }
        }
    }

    /// Whether a request with that batch would repeat what the target may have.
    pub fn holds(&self, key: Key) -> bool {
        !self.keys.is_empty() && self.keys.contains(&key)
    }

    /// The batch is settled.
    pub fn forget(&mut self, key: Key) {
        if !self.keys.is_empty() && self.keys.remove(&key) && self.keys.is_empty() {
            self.order.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More unanswered requests than are remembered, some settled.
    /// Guarantees that the youngest are known, the settled are not, and the bound.
    #[test]
    fn the_youngest_are_remembered() {
        let mut doubt = InDoubt::default();
        (1..=20_000).for_each(|seq| doubt.add(Key::new(seq)));
        doubt.forget(Key::new(19_999));
        assert!(doubt.holds(Key::new(20_000)) && !doubt.holds(Key::new(19_999)) && !doubt.holds(Key::new(1)));
        assert!(doubt.order.len() <= REMEMBERED);
    }
}
