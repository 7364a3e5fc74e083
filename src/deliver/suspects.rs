//! Suspects: batches that fail at one target again and again without a verdict, while it takes others. Pure.
//!
//! Such a batch crashes its receiver, or takes it longer than the timeout. Weak evidence parks it: out of the line it harms nobody,
//! and is tried alone once a minute. Only strong evidence makes an end of it: it fails alone, while the target takes what is in line
//! and fails with nothing of that. So a target that fails with every other request may get batches parked, and never condemned. One
//! record a target and signal; it knows keys and counts, and neither bodies nor queue.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::batch::Key;

/// Failures in line, with something taken in between, that park a batch.
const TO_PARK: u32 = 3;

/// Failures alone, while nothing else failed and something was taken, that make an end of it.
const TO_CONVICT: u32 = 3;

/// The first hold of a batch that failed so, doubled up to the longest: others go first and show whether it is the batch. A target
/// that failed gets one request at a time, and would get this one again and again.
const FIRST_HOLD: Duration = Duration::from_secs(1);
const LONGEST_HOLD: Duration = Duration::from_secs(4);

/// And, once others were taken, for so many times as long as it took to fail: a few that hang would take all the time in turn.
const HELD_FOR: u32 = 3;

/// That a target was well shows something for so long: it is probed as often, and a batch that hangs is tried again at once.
const SHOWS_FOR: Duration = Duration::from_secs(15);

/// Between two tries of parked batches of one signal.
pub const TRIED_EVERY: Duration = Duration::from_secs(60);

/// Most batches that are remembered; for one more the lowest key is forgotten, and its next failure counts as its first.
const REMEMBERED: usize = 1024;

/// What becomes of a batch that failed without a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// It stays in line, and is left alone for this time where others may pass it.
    Hold(Duration),
    /// The same, and others were taken between its failures: that it fails says little of its target.
    Doubt(Duration),
    /// Out of the line.
    Park(Past),
    /// It is at fault: to be cut and its parts tried, or dead.
    Convict(Past),
}

/// A failure without a verdict, in line.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    /// When,
    pub now: Instant,
    /// which to people is so many milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// From its sending on.
    pub lasted: Duration,
    /// Whether a breaker tried its target out with it: that says as much of the target.
    pub trial: bool,
}

/// What a batch has behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// How often it failed there.
    pub failures: u32,
    /// First failure, in milliseconds since the Unix epoch.
    pub first_ms: u64,
}

/// What one target did with one signal's batches.
#[derive(Debug, Default)]
pub struct Suspects {
    /// Batches that were taken, and batches in line that failed without a verdict.
    taken: u64,
    failed: u64,
    records: BTreeMap<Key, Record>,
}

#[derive(Debug)]
struct Record {
    past: Past,
    /// Its first failure, its last, and the one before that.
    first: Instant,
    last: Option<Instant>,
    before: Option<Instant>,
    /// Whether these were failures alone; one of the other kind begins anew.
    alone: bool,
    /// Failures that count.
    counted: u32,
    /// Where the target's counts stood at the last failure.
    taken: u64,
    failed: u64,
}

impl Suspects {
    /// The target took that batch.
    pub fn taken(&mut self, key: Key) {
        self.taken += 1;
        self.forget(key);
    }

    /// The batch is settled, wherever.
    pub fn forget(&mut self, key: Key) {
        if !self.records.is_empty() {
            self.records.remove(&key);
        }
    }

    /// If that batch failed more than once: the moment from which on its target has to have been found well, for the batch to be
    /// suspect and not the target. Forgotten when it is taken, or parked.
    pub fn suspect_since(&self, key: Key) -> Option<Instant> {
        let record = self.records.get(&key)?;
        record.before.map(|before| record.first.max(before.checked_sub(SHOWS_FOR).unwrap_or(before)))
    }

    /// A batch in line failed without a verdict.
    pub fn failed(&mut self, key: Key, failure: Failure) -> Suspicion {
        self.failed += 1;
        let (taken, failed) = (self.taken, self.failed);
        let Failure { now, at_ms, lasted, trial } = failure;
        let record = self.record(key, now, at_ms, false);
        if record.counted == 0 || taken > record.taken {
            record.counted += 1;
        }
        (record.taken, record.failed) = (taken, failed);
        let past = record.past;
        let hold = FIRST_HOLD.saturating_mul(1 << (past.failures - 1).min(8)).min(LONGEST_HOLD);
        match record.counted {
            TO_PARK.. => {
                self.records.remove(&key);
                Suspicion::Park(past)
            }
            2.. if !trial => Suspicion::Doubt(hold.max((lasted * HELD_FOR).min(TRIED_EVERY))),
            _ => Suspicion::Hold(hold),
        }
    }

    /// The same of a parked batch, alone.
    pub fn failed_alone(&mut self, key: Key, now: Instant, at_ms: u64) -> Suspicion {
        let (taken, failed) = (self.taken, self.failed);
        let record = self.record(key, now, at_ms, true);
        let first = record.past.failures == 1;
        if first || (taken > record.taken && failed == record.failed) {
            record.counted += 1;
        } else if failed > record.failed {
            record.counted = 1; // the target has trouble of its own
        }
        (record.taken, record.failed) = (taken, failed);
        if record.counted < TO_CONVICT { Suspicion::Hold(Duration::ZERO) } else { Suspicion::Convict(record.past) }
    }

    fn record(&mut self, key: Key, now: Instant, at_ms: u64, alone: bool) -> &mut Record {
        if self.records.len() >= REMEMBERED && !self.records.contains_key(&key) {
            self.records.pop_first();
        }
        let past = Past { failures: 0, first_ms: at_ms };
        let new = || Record { past, first: now, last: None, before: None, alone, counted: 0, taken: 0, failed: 0 };
        let record = self.records.entry(key).or_insert_with(new);
        if record.alone != alone {
            *record = new();
        }
        record.past.failures = record.past.failures.saturating_add(1);
        record.before = record.last.replace(now);
        record
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BAD: Key = Key::new(1);
    const HELD: Suspicion = Suspicion::Hold(Duration::ZERO);

    fn failure(at_ms: u64) -> Failure {
        Failure { now: Instant::now(), at_ms, lasted: Duration::ZERO, trial: false }
    }

    /// Fails `times` alone, with `between` before each.
    fn alone(suspects: &mut Suspects, times: u32, between: impl Fn(&mut Suspects)) -> Suspicion {
        let mut last = HELD;
        for _ in 0..times {
            between(suspects);
            last = suspects.failed_alone(BAD, Instant::now(), 9);
        }
        last
    }

    /// A batch that fails always, among others that are taken.
    /// Guarantees that the third failure parks it and the third alone convicts it, with its story.
    #[test]
    fn a_batch_that_always_fails_is_parked_and_convicted() {
        let mut suspects = Suspects::default();
        let seconds = Duration::from_secs;
        assert_eq!(suspects.failed(BAD, failure(5)), Suspicion::Hold(seconds(1)));
        suspects.taken(Key::new(2));
        assert_eq!(suspects.failed(BAD, failure(5)), Suspicion::Doubt(seconds(2)));
        suspects.taken(Key::new(2));
        assert_eq!(suspects.failed(BAD, failure(6)), Suspicion::Park(Past { failures: 3, first_ms: 5 }));
        let taken = |suspects: &mut Suspects| suspects.taken(Key::new(3));
        assert_eq!(alone(&mut suspects, 2, taken), HELD);
        assert_eq!(alone(&mut suspects, 1, taken), Suspicion::Convict(Past { failures: 3, first_ms: 9 }));
    }

    /// A batch that hangs for five seconds among others that are taken, in line and as a breaker's trial.
    /// Guarantees that others get three times as long before it is tried again, a minute at most; and that a trial is no sign of that.
    #[test]
    fn one_that_hangs_is_held_for_longer_than_it_hangs() {
        for (trial, lasted, held) in [
            (false, 5, Suspicion::Doubt(Duration::from_secs(15))),
            (false, 30, Suspicion::Doubt(TRIED_EVERY)),
            (true, 30, Suspicion::Hold(Duration::from_secs(2))),
        ] {
            let mut suspects = Suspects::default();
            let failure = Failure { lasted: Duration::from_secs(lasted), trial, ..failure(5) };
            suspects.failed(BAD, failure);
            suspects.taken(Key::new(2));
            assert_eq!(suspects.failed(BAD, failure), held);
        }
    }

    /// A target that fails with everything, one that took things only before, and a batch that is taken at last.
    /// Guarantees that nothing is parked without others that were taken in between, and that memory is bounded.
    #[test]
    fn a_target_that_fails_with_everything_parks_nothing() {
        let mut suspects = Suspects::default();
        suspects.taken(Key::new(7));
        for _ in 0..10 {
            for seq in 1..2000 {
                let suspicion = suspects.failed(Key::new(seq), failure(5));
                assert!(matches!(suspicion, Suspicion::Hold(hold) if hold <= LONGEST_HOLD));
            }
        }
        assert_eq!(suspects.records.len(), REMEMBERED);
        let last = Key::new(1999);
        suspects.taken(last);
        assert_eq!(suspects.suspect_since(last), None);
    }

    /// A parked batch fails alone while the target fails with every other request in line, and while nothing else is sent.
    /// Guarantees that neither convicts it.
    #[test]
    fn a_target_with_trouble_of_its_own_convicts_nothing() {
        let mut suspects = Suspects::default();
        let half = |suspects: &mut Suspects| {
            suspects.taken(Key::new(3));
            suspects.failed(Key::new(4), failure(5));
        };
        assert_eq!(alone(&mut suspects, 50, half), HELD);
        assert_eq!(alone(&mut suspects, 50, |_| {}), HELD);
    }

    proptest! {
        /// Any order of what a target does with a few batches, in line and alone.
        /// Guarantees that a batch is parked only after three failures with others taken between them, and convicted only if in
        /// between the last three failures alone others were taken and none in line failed.
        #[test]
        fn no_suspicion_without_others_taken(acts in proptest::collection::vec((0..4u64, 0..3u8), 0..300)) {
            let mut suspects = Suspects::default();
            let mut story: Vec<(u64, u8)> = Vec::new();
            for (seq, act) in acts {
                story.push((seq, act));
                let key = Key::new(seq);
                // What happened since it failed like this before.
                let gap = story[..story.len() - 1].rsplit(|(other, then)| *other == seq && *then == act).next().unwrap();
                let happened = |what: u8| gap.iter().any(|one| one.1 == what);
                match act {
                    0 => suspects.taken(key),
                    1 => if let Suspicion::Park(past) = suspects.failed(key, failure(5)) {
                        prop_assert!(past.failures >= TO_PARK && happened(0));
                    },
                    _ => if let Suspicion::Convict(past) = suspects.failed_alone(key, Instant::now(), 5) {
                        prop_assert!(past.failures >= TO_CONVICT);
                        suspects.forget(key);
                        prop_assert!(happened(0) && !happened(1), "{story:?}");
                    },
                }
            }
        }
    }
}
