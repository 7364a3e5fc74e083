//! Which lane the next batch comes from: deficit round robin over bytes. Pure.
//!
//! Each lane has a share, so that new data goes out at once after an outage and the backlog ends all the same, also when only
//! one request may be in flight.

use crate::queue::Lane;

/// Bytes that one round hands out to both lanes together: some requests' worth.
const ROUND: f64 = (1 << 20) as f64;

/// Assumed size of a batch before the first was seen, in bytes.
const USUAL_BATCH: f64 = (64 << 10) as f64;

/// Weight of the youngest batch in the mean size.
const MEAN_WEIGHT: f64 = 1.0 / 8.0;

/// See the module. Fresh and backlog, by [`Lane`].
#[derive(Debug)]
pub struct Lanes {
    shares: [f64; 2],
    /// Bytes each lane may still send in this round; below zero after a batch larger than what was left.
    credit: [f64; 2],
    turn: Lane,
    mean: f64,
}

/// What a choice was charged, to be put right when the batch's size is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Charge {
    lane: Lane,
    bytes: f64,
}

impl Lanes {
    /// Lanes of which fresh gets `fresh_share`, in (0, 1), while both have something.
    pub fn new(fresh_share: f64) -> Lanes {
        let fresh = fresh_share.clamp(0.01, 0.99);
        Lanes { shares: [fresh, 1.0 - fresh], credit: [0.0; 2], turn: Lane::Fresh, mean: USUAL_BATCH }
    }

    /// The lane to lease from when `fresh` and `backlog` have something that may go now; `None` when neither has. It is charged
    /// the mean size; [`Lanes::correct`] puts that right.
    pub fn choose(&mut self, fresh: bool, backlog: bool) -> Option<Charge> {
        let lane = match (fresh, backlog) {
            (false, false) => return None,
            (true, false) | (false, true) => {
                // A lane that has nothing saves nothing up, and owes nothing for having been alone.
                self.credit = [0.0; 2];
                if fresh { Lane::Fresh } else { Lane::Backlog }
            }
            (true, true) => self.next_turn(),
        };
        self.credit[lane as usize] -= self.mean;
        Some(Charge { lane, bytes: self.mean })
    }

    /// The batch was this large; 0 when there was none.
    pub fn correct(&mut self, charge: Charge, bytes: usize) {
        let bytes = bytes as f64;
        if bytes > 0.0 {
            self.mean += (bytes - self.mean) * MEAN_WEIGHT;
        }
        self.credit[charge.lane as usize] += charge.bytes - bytes;
    }

    fn next_turn(&mut self) -> Lane {
        // Ends: each pass adds to the credit of both.
        while self.credit[self.turn as usize] <= 0.0 {
            self.turn = if self.turn == Lane::Fresh { Lane::Backlog } else { Lane::Fresh };
            self.credit[self.turn as usize] += ROUND * self.shares[self.turn as usize];
        }
        self.turn
    }
}

impl Charge {
    /// The lane that was chosen.
    pub const fn lane(self) -> Lane {
        self.lane
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Both lanes full, batches of any sizes.
    fn drain(sizes: &[usize], share: f64) -> [usize; 2] {
        let mut lanes = Lanes::new(share);
        let mut sent = [0; 2];
        for size in sizes {
            let charge = lanes.choose(true, true).expect("both have something");
            sent[charge.lane() as usize] += size;
            lanes.correct(charge, *size);
        }
        sent
    }

    /// One lane empty, or both.
    /// Guarantees that the other gets everything, at once.
    #[test]
    fn a_lane_alone_gets_everything() {
        let mut lanes = Lanes::new(0.9);
        assert_eq!(lanes.choose(false, false), None);
        for _ in 0..1000 {
            let charge = lanes.choose(false, true).expect("backlog");
            assert_eq!(charge.lane(), Lane::Backlog);
            lanes.correct(charge, 1 << 20);
        }
        let turns: Vec<Lane> = (0..9).filter_map(|_| lanes.choose(true, true)).map(Charge::lane).collect();
        assert!(turns.contains(&Lane::Fresh), "{turns:?}");
    }

    proptest! {
        /// Both lanes full, batches of 1 byte to 4 MiB, any share.
        /// Guarantees the shares of bytes, to within two rounds and two of the largest batches.
        #[test]
        fn bytes_follow_the_shares(
            sizes in proptest::collection::vec(1..4_000_000usize, 200..600),
            share in 0.1..0.9f64,
        ) {
            let sent = drain(&sizes, share);
            let total = (sent[0] + sent[1]) as f64;
            let slack = 2.0 * ROUND + 2.0 * 4_000_000.0;
            prop_assert!((sent[0] as f64 - total * share).abs() <= slack, "{sent:?}");
        }
    }
}
