//! The witness rule: which refused batches are condemned, and which are held. Pure.
//!
//! A batch is condemned only by a target that took a *different real batch* of that signal, sent after this one was first
//! refused, and then refuses this one again. Without such a witness the target is the suspect, not the batch: a hub that answers
//! 400 to everything must not empty the buffer into dead letters. One record a target and signal; it knows keys and times, and
//! neither bodies nor queue.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::batch::Key;
use crate::queue::ledger::DeadReason;

/// Most refused batches that are remembered. The oldest is forgotten for one more, and its next refusal counts as its first:
/// on the safe side.
const REMEMBERED: usize = 1024;

/// The first hold of a refused batch: long enough that others pass it and may witness.
const FIRST_HOLD: Duration = Duration::from_secs(1);

/// The longest hold: short enough that a target which was sick has everything soon after it is well.
const LONGEST_HOLD: Duration = Duration::from_secs(30);

/// Attempts with a closed breaker before an error of no listed class is held against the batch.
const UNLISTED_ATTEMPTS: u32 = 3;

/// What the target found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Something wrong with the batch.
    Refused,
    /// Its size.
    TooLarge,
    /// An error that may lie with either.
    Unlisted,
}

impl Fault {
    /// As what the batch dies, if it does.
    pub const fn dead_reason(self) -> DeadReason {
        match self {
            Fault::TooLarge => DeadReason::TooLarge,
            Fault::Refused | Fault::Unlisted => DeadReason::Refused,
        }
    }
}

/// The circumstances of a refusal.
#[derive(Debug, Clone, Copy)]
pub struct Refusal {
    /// What the target found.
    pub fault: Fault,
    /// Whether the breaker was closed when the batch was sent.
    pub breaker_closed: bool,
    /// Whether nothing else of the signal could be sent in its place.
    pub alone: bool,
    /// Whether there is room for another dead letter.
    pub room: bool,
    /// Milliseconds since the Unix epoch, for the dead letter's story.
    pub at_ms: u64,
}

/// What becomes of a refused batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// It is left alone for this time, and the refusal counts as a failure of the target.
    Hold(Duration),
    /// The same, and an empty request is to be sent: accepted, it is witness enough ([`Witness::vouched`]).
    HoldAndAsk(Duration),
    /// It is dead.
    Condemn {
        /// How often it was refused.
        refusals: u32,
        /// First refusal, in milliseconds since the Unix epoch.
        first_ms: u64,
    },
}

/// What one target did with one signal's batches.
#[derive(Debug)]
pub struct Witness {
    patience: Duration,
    /// Send time of the youngest request that was accepted, in part at least.
    accepted: Option<Instant>,
    refused: BTreeMap<Key, Record>,
}

#[derive(Debug)]
struct Record {
    first: Instant,
    first_ms: u64,
    refusals: u32,
    with_closed_breaker: u32,
    vouched: bool,
}

impl Witness {
    /// Remembers nothing yet. After `patience` an accepted empty request is witness enough, if nothing else is queued.
    pub fn new(patience: Duration) -> Witness {
        Witness { patience, accepted: None, refused: BTreeMap::new() }
    }

    /// The target took the batch `key`, which was sent at `sent`, or at least one of its items.
    pub fn accepted(&mut self, key: Key, sent: Instant) {
        self.accepted = self.accepted.max(Some(sent));
        self.forget(key);
    }

    /// The batch is settled, wherever.
    pub fn forget(&mut self, key: Key) {
        if !self.refused.is_empty() {
            self.refused.remove(&key);
        }
    }

    /// How often the target has refused that batch.
    pub fn refusals(&self, key: Key) -> u32 {
        self.refused.get(&key).map_or(0, |record| record.refusals)
    }

    /// The target took an empty request that was sent because of the batch `key`.
    pub fn vouched(&mut self, key: Key) {
        if let Some(record) = self.refused.get_mut(&key) {
            record.vouched = true;
        }
    }

    /// The target refused the batch `key` at `now`.
    pub fn refused(&mut self, now: Instant, key: Key, refusal: Refusal) -> Ruling {
        if self.refused.len() >= REMEMBERED && !self.refused.contains_key(&key) {
            let oldest = self.refused.iter().min_by_key(|(_, record)| record.first).map(|(key, _)| *key);
            self.refused.remove(&oldest.unwrap_or(key));
        }
        let record = self.refused.entry(key).or_insert(Record {
            first: now,
            first_ms: refusal.at_ms,
            refusals: 0,
            with_closed_breaker: 0,
            vouched: false,
        });
        record.refusals = record.refusals.saturating_add(1);
        record.with_closed_breaker += u32::from(refusal.breaker_closed);

        let witnessed = self.accepted.is_some_and(|sent| sent > record.first) || (record.vouched && refusal.alone);
        let enough = refusal.fault != Fault::Unlisted || record.with_closed_breaker >= UNLISTED_ATTEMPTS;
        if witnessed && enough && refusal.room {
            let ruling = Ruling::Condemn { refusals: record.refusals, first_ms: record.first_ms };
            self.refused.remove(&key);
            return ruling;
        }
        let hold = FIRST_HOLD.saturating_mul(1 << (record.refusals - 1).min(8)).min(LONGEST_HOLD);
        let impatient = refusal.alone && now >= record.first + self.patience && refusal.room;
        if impatient && !record.vouched { Ruling::HoldAndAsk(hold) } else { Ruling::Hold(hold) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PATIENCE: Duration = Duration::from_secs(600);
    const BAD: Key = Key::new(1);
    const REFUSED: Refusal =
        Refusal { fault: Fault::Refused, breaker_closed: true, alone: false, room: true, at_ms: 5 };

    fn witness() -> (Witness, Instant) {
        (Witness::new(PATIENCE), Instant::now())
    }

    fn condemned(ruling: Ruling) -> bool {
        matches!(ruling, Ruling::Condemn { .. })
    }

    /// One bad batch among good ones.
    /// Guarantees that it is held first, and dead at the refusal after another was taken, with its story.
    #[test]
    fn a_bad_batch_among_good_ones_dies() {
        let (mut witness, now) = witness();
        assert_eq!(witness.refused(now, BAD, REFUSED), Ruling::Hold(SECOND));
        witness.accepted(Key::new(2), now + SECOND);
        let ruling = witness.refused(now + 2 * SECOND, BAD, Refusal { at_ms: 9, ..REFUSED });
        assert_eq!(ruling, Ruling::Condemn { refusals: 2, first_ms: 5 });
    }

    /// A target that refuses everything, for hours; and one that took batches only before.
    /// Guarantees that nothing dies, that holds grow to their bound, and that memory is bounded.
    #[test]
    fn nothing_dies_at_a_target_that_refuses_everything() {
        let (mut witness, now) = witness();
        witness.accepted(Key::new(2), now);
        for round in 0..5u32 {
            for seq in 1..3000 {
                let hold = witness.refused(now + (round + 1) * PATIENCE, Key::new(seq), REFUSED);
                assert!(matches!(hold, Ruling::Hold(hold) if hold <= LONGEST_HOLD), "{hold:?}");
            }
        }
        assert_eq!(witness.refused.len(), REMEMBERED);
        let holds: Vec<Ruling> = (0..7).map(|_| witness.refused(now + 6 * PATIENCE, Key::new(9999), REFUSED)).collect();
        assert_eq!(holds, [1, 2, 4, 8, 16, 30, 30].map(|seconds| Ruling::Hold(seconds * SECOND)));
    }

    /// An acceptance whose request was under way when the first refusal came.
    /// Guarantees that it is no witness: the target may have turned sick in between.
    #[test]
    fn a_witness_was_sent_after_the_first_refusal() {
        let (mut witness, now) = witness();
        witness.refused(now + SECOND, BAD, REFUSED);
        witness.accepted(Key::new(2), now);
        assert!(!condemned(witness.refused(now + 2 * SECOND, BAD, REFUSED)));
    }

    /// An error of no listed class, with the breaker closed and not.
    /// Guarantees three attempts with a closed breaker before the batch is blamed.
    #[test]
    fn unlisted_errors_take_three_attempts() {
        let (mut witness, now) = witness();
        let unlisted = Refusal { fault: Fault::Unlisted, ..REFUSED };
        for breaker_closed in [true, false, false, true] {
            assert!(!condemned(witness.refused(now, BAD, Refusal { breaker_closed, ..unlisted })));
            witness.accepted(Key::new(2), now + SECOND);
        }
        assert!(condemned(witness.refused(now + 2 * SECOND, BAD, unlisted)));
    }

    /// Nothing else is queued, for longer than the patience.
    /// Guarantees that an empty request is asked for then and not before, and is witness enough while the batch stays alone.
    #[test]
    fn an_empty_request_vouches_after_the_patience() {
        let (mut witness, now) = witness();
        let alone = Refusal { alone: true, ..REFUSED };
        assert_eq!(witness.refused(now, BAD, alone), Ruling::Hold(SECOND));
        assert_eq!(witness.refused(now + PATIENCE - SECOND, BAD, alone), Ruling::Hold(2 * SECOND));
        assert_eq!(witness.refused(now + PATIENCE, BAD, REFUSED), Ruling::Hold(4 * SECOND));
        assert_eq!(witness.refused(now + PATIENCE, BAD, alone), Ruling::HoldAndAsk(8 * SECOND));
        witness.vouched(BAD);
        assert!(!condemned(witness.refused(now + PATIENCE, BAD, REFUSED)));
        assert!(condemned(witness.refused(now + PATIENCE, BAD, alone)));
    }

    /// The dead letters are full.
    /// Guarantees that nothing is condemned until there is room again.
    #[test]
    fn a_full_store_condemns_nothing() {
        let (mut witness, now) = witness();
        witness.refused(now, BAD, REFUSED);
        witness.accepted(Key::new(2), now + SECOND);
        for _ in 0..5 {
            assert!(!condemned(witness.refused(now + 2 * SECOND, BAD, Refusal { room: false, ..REFUSED })));
        }
        assert!(condemned(witness.refused(now + 2 * SECOND, BAD, REFUSED)));
    }

    proptest! {
        /// Any order of acceptances and refusals of a few batches.
        /// Guarantees `no-verdict-without-witness`: whatever is condemned was refused before, and a different batch that was sent
        /// after that first refusal was taken.
        #[test]
        fn no_verdict_without_witness(acts in proptest::collection::vec((0..4u64, any::<bool>(), 0..3u32, 0..3u8), 0..200)) {
            let (mut witness, mut now) = witness();
            let mut first_refused: HashMap<u64, Instant> = HashMap::new();
            let mut taken: Vec<(u64, Instant)> = Vec::new();
            for (seq, accepted, flight, fault) in acts {
                let sent = now;
                now += flight * SECOND;
                if accepted {
                    witness.accepted(Key::new(seq), sent);
                    taken.push((seq, sent));
                    first_refused.remove(&seq);
                    continue;
                }
                let fault = [Fault::Refused, Fault::TooLarge, Fault::Unlisted][usize::from(fault)];
                let first = *first_refused.entry(seq).or_insert(now);
                let ruling = witness.refused(now, Key::new(seq), Refusal { fault, ..REFUSED });
                let witnessed = taken.iter().any(|(other, sent)| *other != seq && *sent > first);
                if fault != Fault::Unlisted {
                    prop_assert_eq!(condemned(ruling), witnessed);
                } else {
                    prop_assert!(!condemned(ruling) || witnessed);
                }
                if condemned(ruling) {
                    first_refused.remove(&seq);
                }
            }
        }
    }
}
