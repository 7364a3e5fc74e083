//! How large a request one target takes, learned from what it refused as too large. Pure.
//!
//! Sizes are those of uncompressed bodies: collectors and gRPC servers measure these, and where a proxy measures the compressed ones
//! the limit that is learned is merely on the safe side. What is larger is cut before it is sent. Now and then a request of up to
//! twice the limit goes whole, so that a target which takes more than it did is found out; each one that is taken raises the limit
//! at once. Kept in memory: learned anew after a restart it costs a handful of refusals, each of which loses nothing.

use std::time::Duration;

use tokio::time::Instant;

/// The limit never falls below this: whoever refuses less finds fault with something else, or with everything.
pub const FLOOR: usize = 64 << 10;

/// So long after its last refusal the limit is forgotten.
const EXPIRES: Duration = Duration::from_secs(24 * 3600);

/// Between a refusal and the next probe; doubles with each that is refused.
const FIRST_PROBE: Duration = Duration::from_secs(60);
const LONGEST_PROBE: Duration = Duration::from_secs(3600);

/// See the module.
#[derive(Debug, Default)]
pub struct Ceiling {
    learned: Option<Learned>,
}

#[derive(Debug)]
struct Learned {
    limit: usize,
    refused_at: Instant,
    probe_at: Instant,
    /// A probe was sent, and nothing was heard of it.
    probing: bool,
    wait: Duration,
}

impl Ceiling {
    /// Whether a request of `len` bytes is to be cut before it is sent: into parts of at most so many bytes. `None` when it may go.
    pub fn cut(&mut self, now: Instant, len: usize) -> Option<usize> {
        let learned = self.learned.as_mut()?;
        if now >= learned.refused_at + EXPIRES {
            self.learned = None;
            return None;
        }
        if len <= learned.limit {
            return None;
        }
        if now >= learned.probe_at && len <= learned.limit.saturating_mul(2) {
            (learned.probe_at, learned.probing) = (now + learned.wait, true); // one at a time
            return None;
        }
        Some(learned.limit)
    }

    /// How large a request of several batches may be.
    pub fn limit(&self, now: Instant) -> usize {
        let learned = self.learned.as_ref().filter(|learned| now < learned.refused_at + EXPIRES);
        learned.map_or(usize::MAX, |learned| learned.limit)
    }

    /// A request of `len` bytes was refused for its size: into parts of how many bytes it should be cut.
    pub fn refused(&mut self, now: Instant, len: usize) -> usize {
        let half = (len / 2).max(FLOOR);
        let (limit, wait) = match &self.learned {
            Some(learned) if len <= learned.limit => (half, FIRST_PROBE),
            Some(learned) if learned.probing => (learned.limit, (learned.wait * 2).min(LONGEST_PROBE)),
            Some(learned) => (learned.limit, learned.wait), // it was under way when the limit was learned
            None => (half, FIRST_PROBE),
        };
        self.learned = Some(Learned { limit, refused_at: now, probe_at: now + wait, probing: false, wait });
        limit
    }

    /// A request of `len` bytes was taken.
    pub fn taken(&mut self, now: Instant, len: usize) {
        if let Some(learned) = self.learned.as_mut().filter(|learned| len > learned.limit) {
            *learned = Learned { limit: len, probe_at: now, probing: false, wait: FIRST_PROBE, ..*learned };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MIB: usize = 1 << 20;

    /// Sends `len` bytes to a target that takes `takes`; how many requests it refused before it had all.
    fn deliver(ceiling: &mut Ceiling, now: Instant, len: usize, takes: usize) -> usize {
        let (mut queue, mut refused) = (vec![len], 0);
        while let Some(len) = queue.pop() {
            let limit = match ceiling.cut(now, len) {
                None if len <= takes => {
                    ceiling.taken(now, len);
                    continue;
                }
                None => {
                    refused += 1;
                    ceiling.refused(now, len)
                }
                Some(limit) => limit,
            };
            queue.extend(std::iter::repeat_n(limit, len / limit));
            queue.extend(Some(len % limit).filter(|rest| *rest > 0));
        }
        refused
    }

    /// 20 MiB to a target that takes 4 MiB, twice.
    /// Guarantees three refusals the first time, and none the second: what was learned is applied before sending.
    #[test]
    fn a_limit_is_learned_once() {
        let (mut ceiling, now) = (Ceiling::default(), Instant::now());
        assert_eq!(deliver(&mut ceiling, now, 20 * MIB, 4 * MIB), 3);
        assert_eq!(deliver(&mut ceiling, now, 20 * MIB, 4 * MIB), 0);
    }

    /// A target that refuses everything, and takes everything an hour later.
    /// Guarantees the floor, one probe an hour at last, and that the limit is back within minutes of requests that are taken.
    #[test]
    fn it_is_probed_upwards() {
        let (mut ceiling, mut now) = (Ceiling::default(), Instant::now());
        for _ in 0..50 {
            assert!(ceiling.refused(now, 70 << 10) >= FLOOR);
        }
        let mut probes = 0;
        for _ in 0..3600 {
            now += SECOND;
            if ceiling.cut(now, 100 << 10).is_none() {
                probes += 1;
                ceiling.refused(now, 100 << 10);
            }
        }
        assert!((5..=7).contains(&probes), "{probes}");
        now += LONGEST_PROBE;
        let refused: usize = (0..10).map(|doubling| deliver(&mut ceiling, now, FLOOR << doubling, usize::MAX)).sum();
        assert_eq!((refused, ceiling.cut(now, 32 * MIB)), (0, None));
    }

    /// A day without refusals.
    /// Guarantees that the limit is forgotten, and not a moment before.
    #[test]
    fn it_expires_after_a_day() {
        let (mut ceiling, now) = (Ceiling::default(), Instant::now());
        ceiling.refused(now, 8 * MIB);
        assert_eq!(ceiling.cut(now + EXPIRES - SECOND, 9 * MIB), Some(4 * MIB));
        assert_eq!(ceiling.cut(now + EXPIRES, 9 * MIB), None);
        assert_eq!(ceiling.cut(now, 9 * MIB), None);
    }

    proptest! {
        /// Requests of any sizes to a target whose limit changes.
        /// Guarantees that sending ends, that nothing is cut finer than the floor, and a bounded number of refusals.
        #[test]
        fn any_request_arrives(acts in proptest::collection::vec((1..64 * MIB, FLOOR..64 * MIB, 0..4000u64), 1..30)) {
            let (mut ceiling, mut now) = (Ceiling::default(), Instant::now());
            for (len, takes, pause) in acts {
                now += Duration::from_secs(pause);
                prop_assert!(deliver(&mut ceiling, now, len, takes) <= 12);
                prop_assert!(ceiling.learned.as_ref().is_none_or(|learned| learned.limit >= FLOOR));
            }
        }
    }
}
