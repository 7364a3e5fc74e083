//! Which batches go out together in one request. Pure.
//!
//! Small ones that follow one another in a lane, with the same headers and none of them sent before. What a request may hold is
//! bounded in bytes and items by the target, and in weight by its pace; and so is the length of the header that names them.
//! Parts of a batch that was cut for its size stay apart.

use std::sync::Arc;

use crate::batch::{Batch, BatchId};

/// Items of a merged request at most: what collectors make of a batch by default.
const ITEMS: u64 = 8192;

/// Names of a merged request at most, those that follow one another counting as one: about a kilobyte of header, of which servers
/// take 8 KiB at least.
const RUNS: usize = 16;

/// How much may go together.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Only requests of less than so many bytes are merged, uncompressed.
    pub below: usize,
    /// And so many make one request at most.
    pub up_to: usize,
    /// Bytes as they are stored, of one request.
    pub weight: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Bundle {
    limits: Limits,
    headers: Arc<[(Box<str>, Box<str>)]>,
    items: u64,
    bytes: usize,
    weight: usize,
    runs: usize,
    last: BatchId,
}

impl Bundle {
    /// A request that begins with that batch; `None` when it is to go alone.
    pub fn around(limits: Limits, id: BatchId, batch: &Batch) -> Option<Bundle> {
        let headers = batch.headers.clone();
        let mut bundle = Bundle { limits, headers, items: 0, bytes: 0, weight: 0, runs: 0, last: id };
        bundle.takes(id, batch).then_some(bundle)
    }

    /// Whether the batch goes with those before it; then it counts from now on.
    pub fn takes(&mut self, id: BatchId, batch: &Batch) -> bool {
        let Limits { below, up_to, weight } = self.limits;
        let len = batch.inflated_len as usize;
        let (items, bytes) = (self.items + u64::from(batch.items), self.bytes + len);
        let heavier = self.weight + batch.weight();
        let runs = self.runs + usize::from(!self.last.precedes(&id));
        let alike = id.key.part == 0 && len < below && batch.headers == self.headers;
        let fits = items <= ITEMS && bytes <= up_to && heavier <= weight && runs <= RUNS;
        if alike && fits {
            (self.items, self.bytes, self.weight) = (items, bytes, heavier);
            (self.runs, self.last) = (runs, id);
        }
        alike && fits
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::{Encoding, Key, Signal};

    const LIMITS: Limits = Limits { below: 1000, up_to: 10_000, weight: 3000 };

    fn id(seq: u64, part: u16) -> BatchId {
        BatchId { store: 1, epoch: 1, signal: Signal::Logs, key: Key { seq, part } }
    }

    fn batch(items: u32, len: u32, tenant: &str) -> Batch {
        Batch {
            signal: Signal::Logs,
            encoding: Encoding::Gzip,
            items,
            inflated_len: len,
            received_at_ms: 1,
            headers: [("tenant".into(), tenant.into())].into(),
            body: vec![0; len as usize / 4].into(),
        }
    }

    /// Each thing that keeps a batch out, and the same without it.
    /// Guarantees that only small batches with the same headers go together, whole ones, and none without need alone.
    #[test]
    fn what_differs_stays_apart() {
        let bundle = || Bundle::around(LIMITS, id(7, 0), &batch(1, 100, "a")).expect("small");
        assert!(bundle().takes(id(8, 0), &batch(1, 999, "a")));
        assert!(bundle().takes(id(99, 0), &batch(8191, 100, "a")), "a gap is no matter");
        assert!(!bundle().takes(id(8, 0), &batch(1, 1000, "a")), "large");
        assert!(!bundle().takes(id(8, 0), &batch(1, 100, "b")), "of another tenant");
        assert!(!bundle().takes(id(8, 1), &batch(1, 100, "a")), "a part");
        assert!(!bundle().takes(id(8, 0), &batch(8192, 100, "a")), "many items");
        assert!(Bundle::around(LIMITS, id(7, 0), &batch(1, 1000, "a")).is_none());
        assert!(Bundle::around(LIMITS, id(7, 1), &batch(1, 100, "a")).is_none());
        assert!(Bundle::around(Limits { weight: 20, ..LIMITS }, id(7, 0), &batch(1, 100, "a")).is_none());
    }

    proptest! {
        /// Batches of any sizes, with and without gaps between them.
        /// Guarantees that no limit is passed, nor that on the length of the names.
        #[test]
        fn no_limit_is_passed(batches in proptest::collection::vec((1..3u64, 1..4000u32, 1..1200u32), 1..200)) {
            let (mut seq, mut took) = (0, Vec::new());
            let mut bundle = None;
            for (gap, items, len) in batches {
                seq += gap;
                let (id, batch) = (id(seq, 0), batch(items, len, "a"));
                let taken = match &mut bundle {
                    None => {
                        bundle = Bundle::around(LIMITS, id, &batch);
                        bundle.is_some()
                    }
                    Some(bundle) => bundle.takes(id, &batch),
                };
                if taken {
                    took.push((id, batch));
                }
            }
            let sum = |of: fn(&Batch) -> usize| took.iter().map(|(_, batch)| of(batch)).sum::<usize>();
            prop_assert!(sum(|batch| batch.items as usize) <= ITEMS as usize);
            prop_assert!(sum(|batch| batch.inflated_len as usize) <= LIMITS.up_to);
            prop_assert!(sum(Batch::weight) <= LIMITS.weight);
            let breaks = took.windows(2).filter(|pair| !pair[0].0.precedes(&pair[1].0)).count();
            prop_assert!(breaks < RUNS, "{breaks}");
        }
    }
}
