//! What changes while a line runs: its chain, its lanes, and for each target what is known of batches there.

use std::sync::Arc;

use tokio::time::Instant;

use super::ceiling::Ceiling;
use super::chain::{Chain, ChainKnobs, TargetKnobs};
use super::detour::Detour;
use super::doubt::InDoubt;
use super::gate::Gate;
use super::lanes::Lanes;
use super::meter::Meter;
use super::suspects::{Suspects, TRIED_EVERY};
use super::witness::Witness;
use crate::batch::Key;
use crate::config::{ChainConfig, ReplayConfig};
use crate::queue::{Lane, Lease};

/// What changes while a line runs.
pub struct State {
    /// Who gets the traffic.
    pub chain: Chain,
    /// Which lane is next.
    pub lanes: Lanes,
    /// For each target, batches that wait while others pass them (`order: fifo`).
    pub detours: Vec<Detour>,
    /// For each target, what it refused and took.
    pub witnesses: Vec<Witness>,
    /// For each target, what fails there without a verdict.
    pub suspects: Vec<Suspects>,
    /// For each target, how much it takes at once.
    pub ceilings: Vec<Ceiling>,
    /// When a parked batch is tried next; `None` while none is parked, as far as one knows, or while one is on its way.
    pub(super) try_parked_at: Option<Instant>,
    /// For each target, what it may have although it never said so.
    pub in_doubt: Vec<InDoubt>,
    /// The pace at which the backlog leaves.
    pub drained: Meter,
    /// For each target, whether a trial of the chain is under way.
    pub(super) trying: Vec<bool>,
    /// Batches on their way whose place in the order counts: all but trials with what is owed.
    pub(super) ordinary: usize,
    /// Something was taken as owed since traffic moved: the primary may be tried out with that, in strict order too.
    pub owes: bool,
    /// For each target, whether it has us down as waiting; and the same of the round that is going on.
    pub(super) asked: Vec<bool>,
    pub(super) asking: Vec<bool>,
    /// Until when a lane counts as empty.
    pub(super) dry: [Option<Instant>; 2],
    /// The chain has to decide anew.
    pub stale: bool,
    pub(super) epoch: u64,
    pub(super) check_at: Option<Instant>,
    pub(super) busy_at: Instant,
    /// Nothing is sent, by hand.
    pub(super) paused: bool,
    /// When nothing could be sent the last time, for that or another reason than that the target asks for a pause.
    pub(super) away_at: Instant,
    /// Traffic moved: with `order: fifo` what is in flight is given up, so that it goes first at the next target.
    pub(super) moved: bool,
}

impl State {
    /// The state of a line over these gates, with the primary active.
    pub fn new(config: &ChainConfig, replay: &ReplayConfig, gates: &[Arc<Gate>], now: Instant) -> State {
        let knobs = ChainKnobs {
            failover_after: config.failover_after,
            min_stay: config.min_stay,
            targets: gates
                .iter()
                .map(|gate| TargetKnobs {
                    patience: gate.config.throttle_patience,
                    proof: gate.config.breaker.half_open_successes,
                    rest: gate.config.breaker.open_for,
                })
                .collect(),
        };
        State {
            chain: Chain::new(knobs, now),
            lanes: Lanes::new(replay.fresh_share),
            detours: gates.iter().map(|_| Detour::default()).collect(),
            witnesses: gates.iter().map(|gate| Witness::new(gate.config.refusal_patience)).collect(),
            suspects: gates.iter().map(|_| Suspects::default()).collect(),
            ceilings: gates.iter().map(|_| Ceiling::default()).collect(),
            try_parked_at: Some(now + TRIED_EVERY),
            in_doubt: gates.iter().map(|_| InDoubt::default()).collect(),
            drained: Meter::new(now),
            trying: vec![false; gates.len()],
            ordinary: 0,
            owes: false,
            asked: vec![false; gates.len()],
            asking: vec![false; gates.len()],
            dry: [None; 2],
            stale: true,
            epoch: 0,
            check_at: None,
            busy_at: now,
            paused: false,
            away_at: now,
            moved: false,
        }
    }

    /// The target at that position took a batch.
    pub fn took(&mut self, now: Instant, position: usize, trial: bool, lease: &Lease) {
        self.suspects[position].taken(lease.id.key);
        self.ceilings[position].taken(now, lease.batch.inflated_len as usize);
        if trial {
            self.chain.tried(position, true);
            self.stale = true;
        }
        if lease.lane == Lane::Backlog {
            self.drained.count(now, lease.weight(), lease.batch.items);
        }
    }

    /// The target at that position did not take a batch.
    pub fn failed(&mut self, position: usize, trial: bool) {
        if trial {
            self.chain.tried(position, false);
        }
        self.stale = true;
    }

    /// The batch is settled for good.
    pub fn forget(&mut self, key: Key) {
        self.witnesses.iter_mut().for_each(|witness| witness.forget(key));
        self.suspects.iter_mut().for_each(|suspects| suspects.forget(key));
        self.in_doubt.iter_mut().for_each(|doubt| doubt.forget(key));
    }
}
