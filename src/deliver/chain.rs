//! The chain of one signal: which target gets the traffic, and when that changes. A pure state machine.
//!
//! It is shown the [`Condition`] of each target and the time, and decides. It sends nothing and knows no breaker's inside, no
//! probe and no queue. Leaving is quick for a reason and never for less; coming back is slow, proven and slower with each flap.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::snapshot::{BreakerState, Failover};

/// Longest shortest stay: a primary that flaps all day gets one chance an hour.
const MAX_STAY: Duration = Duration::from_secs(3600);

/// A target that held for so long after a return is trusted as at the start.
const FORGIVEN_AFTER: Duration = Duration::from_secs(3600);

/// The knobs of a chain.
#[derive(Debug, Clone)]
pub struct ChainKnobs {
    /// Time without a success after which traffic leaves a target.
    pub failover_after: Duration,
    /// Shortest stay after leaving an earlier target.
    pub min_stay: Duration,
    /// For each target, the primary first.
    pub targets: Vec<TargetKnobs>,
}

/// The knobs of one target in a chain.
#[derive(Debug, Clone, Copy)]
pub struct TargetKnobs {
    /// How long throttling is borne.
    pub patience: Duration,
    /// How many real batches in a row have to succeed before it gets its traffic back.
    pub proof: u32,
    /// How long it is left alone before the first of them.
    pub rest: Duration,
}

/// What probes and traffic say of a target's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It answers.
    Up,
    /// Nobody knows.
    Unknown,
    /// It does not answer, or says that it is down.
    Down,
}

/// One target, as a signal's chain sees it at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Condition {
    /// Whether it is reached over a network.
    pub network: bool,
    /// State of its breaker.
    pub breaker: BreakerState,
    /// Its health.
    pub standing: Standing,
    /// Whether its endpoint is wrong for this signal.
    pub misconfigured: bool,
    /// Send time of the first failed or unanswered request or probe with no success since.
    pub silent_since: Option<Instant>,
    /// Since when it answers nothing but "too much".
    pub throttled_since: Option<Instant>,
}

impl Condition {
    /// Whether it takes data now, as far as one knows.
    pub fn accepts(&self) -> bool {
        let closed = matches!(self.breaker, BreakerState::Closed | BreakerState::Ramping | BreakerState::ForcedClosed);
        closed && self.standing != Standing::Down && !self.misconfigured
    }
}

/// Why traffic moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// No success for `failover_after`.
    Failure,
    /// Nothing but throttles for `throttle_patience`.
    Throttle,
    /// The endpoint is wrong.
    Misconfigured,
    /// An earlier target has proven itself again.
    Recovered,
    /// By hand.
    Command,
}

impl Reason {
    /// The value of the `reason` label, one of [`Failover::REASONS`].
    pub const fn as_str(self) -> &'static str {
        Failover::REASONS[self as usize]
    }
}

/// Traffic went from one target to another; positions in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Move {
    /// The target that was left.
    pub from: usize,
    /// The target that was taken.
    pub to: usize,
    /// Why.
    pub reason: Reason,
}

/// What a decision changed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Decided {
    /// Traffic moved.
    pub moved: Option<Move>,
    /// A partition began, or ended after so long.
    pub partition: Option<Partition>,
}

/// The edges of a partition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Partition {
    /// No network target accepts any more.
    Began,
    /// One accepts again, after this time.
    Ended(Duration),
}

/// See the module.
#[derive(Debug)]
pub struct Chain {
    knobs: ChainKnobs,
    active: usize,
    active_since: Instant,
    stay: Duration,
    returned: Option<Instant>,
    /// The target that a person chose, until it is taken back.
    pinned: Option<usize>,
    /// For each target before the active one: real batches of this signal that it took in a row since it was left.
    proof: Vec<u32>,
    /// What the last decision saw as not yet fit, and wanted tried.
    unproven: Vec<bool>,
    partition: Option<Instant>,
    partitioned: Duration,
    moves: BTreeMap<Move, u64>,
    wake: Option<Instant>,
}

impl Chain {
    /// A chain whose primary, at position 0, is active.
    pub fn new(knobs: ChainKnobs, now: Instant) -> Chain {
        let targets = knobs.targets.len();
        Chain {
            stay: knobs.min_stay,
            knobs,
            active: 0,
            active_since: now,
            returned: None,
            pinned: None,
            proof: vec![0; targets],
            unproven: vec![false; targets],
            partition: None,
            partitioned: Duration::ZERO,
            moves: BTreeMap::new(),
            wake: None,
        }
    }

    /// Goes on from where `old` is; `place` tells where its positions are in this one. What has no place here is forgotten.
    pub fn go_on_from(&mut self, old: &Chain, place: impl Fn(usize) -> Option<usize>) {
        if let Some(active) = place(old.active) {
            (self.active, self.active_since) = (active, old.active_since);
        }
        if old.stay > old.knobs.min_stay {
            self.stay = old.stay.max(self.knobs.min_stay);
        }
        (self.returned, self.partition, self.partitioned) = (old.returned, old.partition, old.partitioned);
        for (moved, count) in old.moves() {
            if let (Some(from), Some(to)) = (place(moved.from), place(moved.to)) {
                self.moves.insert(Move { from, to, ..moved }, count);
            }
        }
    }

    /// Position of the target that gets the traffic.
    pub fn active(&self) -> usize {
        self.active
    }

    /// Since when.
    pub fn active_since(&self) -> Instant {
        self.active_since
    }

    /// Since when no network target accepts.
    pub fn partitioned_since(&self) -> Option<Instant> {
        self.partition
    }

    /// Time of partition so far, the current one included.
    pub fn partitioned(&self, now: Instant) -> Duration {
        self.partitioned + self.partition.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Moves so far, counted.
    pub fn moves(&self) -> impl Iterator<Item = (Move, u64)> + '_ {
        self.moves.iter().map(|(moved, count)| (*moved, *count))
    }

    /// When to decide again even if nothing happens; `None` when only events can change anything.
    pub fn wake(&self) -> Option<Instant> {
        self.wake
    }

    /// Traffic goes to that target and stays there, whatever its state, as if it were alone; `None` lets the chain go on from
    /// where it is. The next decision carries it out.
    pub fn pin(&mut self, position: Option<usize>) {
        self.pinned = position;
    }

    /// By hand, to the next target down the chain that takes over. From there the chain goes on by itself.
    pub fn fail_over(&mut self, now: Instant, conditions: &[Condition]) -> Option<Move> {
        let from = self.active;
        let to = (from + 1..conditions.len()).find(|to| self.takes_over(now, &conditions[*to]))?;
        Some(self.obey(now, from, to))
    }

    /// By hand, to the primary, if it would not have to be left at once. No stay and no proof are asked for.
    pub fn fail_back(&mut self, now: Instant, conditions: &[Condition]) -> Option<Move> {
        let from = self.active;
        (from > 0 && self.takes_over(now, &conditions[0])).then(|| self.obey(now, from, 0))
    }

    fn obey(&mut self, now: Instant, from: usize, to: usize) -> Move {
        let moved = Move { from, to, reason: Reason::Command };
        self.take(now, moved);
        moved
    }

    /// Whether that target, which stands before the active one, is to be tried with single real batches.
    pub fn wants_trial(&self, now: Instant, position: usize) -> bool {
        self.pinned.is_none() && position < self.active && self.unproven[position] && now >= self.rested(position)
    }

    /// A real batch of this signal was tried at a target before the active one.
    pub fn tried(&mut self, position: usize, success: bool) {
        self.proof[position] = if success { self.proof[position].saturating_add(1) } else { 0 };
    }

    /// Looks at the targets and moves traffic if that is due. `idle`: the signal has had nothing to send for a while, so that
    /// health alone has to do for a proof.
    pub fn decide(&mut self, now: Instant, conditions: &[Condition], idle: bool) -> Decided {
        let partition = self.watch_partition(now, conditions);
        let moved = self.next(now, conditions, idle);
        if let Some(moved) = moved {
            self.take(now, moved);
        }
        for (position, condition) in conditions.iter().enumerate().take(self.active) {
            // Others' failures may have shut a target that this signal has proven: who else should try it?
            self.unproven[position] = !self.proven(position) || !condition.accepts();
        }
        self.wake = self.next_wake(now, conditions);
        Decided { moved, partition }
    }

    fn next(&self, now: Instant, conditions: &[Condition], idle: bool) -> Option<Move> {
        let from = self.active;
        if let Some(to) = self.pinned {
            return (to != from).then_some(Move { from, to, reason: Reason::Command });
        }
        if let Some(reason) = self.reason_to_leave(now, &conditions[from]) {
            let others = || (0..conditions.len()).filter(|to| *to != from && self.takes_over(now, &conditions[*to]));
            let calm = others().find(|to| !self.throttled(now, *to, &conditions[*to]));
            // One that throttles is better than one that does not answer.
            let any = if reason == Reason::Throttle { None } else { others().next() };
            if let Some(to) = calm.or(any) {
                return Some(Move { from, to, reason });
            }
        }
        let stayed = now.saturating_duration_since(self.active_since) >= self.stay;
        let fit = |to: &usize| {
            let condition = &conditions[*to];
            let well = self.takes_over(now, condition) && self.proven(*to);
            well || (idle && condition.accepts() && condition.standing == Standing::Up)
        };
        let to = (0..from).find(fit).filter(|_| stayed)?;
        Some(Move { from, to, reason: Reason::Recovered })
    }

    fn reason_to_leave(&self, now: Instant, active: &Condition) -> Option<Reason> {
        if active.breaker == BreakerState::ForcedOpen {
            Some(Reason::Command)
        } else if active.misconfigured {
            Some(Reason::Misconfigured)
        } else if self.silent(now, active) {
            Some(Reason::Failure)
        } else if self.throttled(now, self.active, active) {
            Some(Reason::Throttle)
        } else {
            None
        }
    }

    fn silent(&self, now: Instant, condition: &Condition) -> bool {
        condition.silent_since.is_some_and(|since| now >= since + self.knobs.failover_after)
    }

    fn throttled(&self, now: Instant, position: usize, condition: &Condition) -> bool {
        condition.throttled_since.is_some_and(|since| now >= since + self.knobs.targets[position].patience)
    }

    /// Whether a target can take over from one that has to be left. One that failed us itself has to succeed first.
    fn takes_over(&self, now: Instant, condition: &Condition) -> bool {
        condition.accepts() && !self.silent(now, condition)
    }

    fn proven(&self, position: usize) -> bool {
        self.proof[position] >= self.knobs.targets[position].proof
    }

    fn take(&mut self, now: Instant, moved: Move) {
        if moved.reason == Reason::Command {
            // A person's moves are no flaps.
        } else if moved.to < moved.from {
            self.returned = Some(now);
        } else if self.returned.is_some_and(|returned| now < returned + FORGIVEN_AFTER) {
            self.stay = (self.stay * 2).min(MAX_STAY.max(self.knobs.min_stay));
        } else if self.returned.is_some() || self.active == 0 {
            self.stay = self.knobs.min_stay;
        }
        for position in moved.to.min(moved.from)..self.proof.len() {
            self.proof[position] = 0;
        }
        self.active = moved.to;
        self.active_since = now;
        *self.moves.entry(moved).or_default() += 1;
    }

    fn watch_partition(&mut self, now: Instant, conditions: &[Condition]) -> Option<Partition> {
        let chosen = self.pinned.map_or(conditions, |pinned| &conditions[pinned..=pinned]);
        let mut network = chosen.iter().filter(|condition| condition.network).peekable();
        let cut_off = network.peek().is_some() && network.all(|condition| !condition.accepts());
        match (cut_off, self.partition) {
            (true, None) => {
                self.partition = Some(now);
                Some(Partition::Began)
            }
            (false, Some(since)) => {
                let lasted = now.saturating_duration_since(since);
                (self.partition, self.partitioned) = (None, self.partitioned + lasted);
                Some(Partition::Ended(lasted))
            }
            _ => None,
        }
    }

    fn rested(&self, position: usize) -> Instant {
        self.active_since + self.knobs.targets[position].rest
    }

    fn next_wake(&self, now: Instant, conditions: &[Condition]) -> Option<Instant> {
        let active = &conditions[self.active];
        let silence = active.silent_since.map(|since| since + self.knobs.failover_after);
        let throttle = active.throttled_since.map(|since| since + self.knobs.targets[self.active].patience);
        let stay = (self.active > 0).then(|| self.active_since + self.stay);
        let rested = (0..self.active).map(|position| self.rested(position));
        [silence, throttle, stay].into_iter().flatten().chain(rested).filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests;
