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
            proof: vec![0; targets],
            unproven: vec![false; targets],
            partition: None,
            partitioned: Duration::ZERO,
            moves: BTreeMap::new(),
            wake: None,
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

    /// Whether that target, which stands before the active one, is to be tried with single real batches.
    pub fn wants_trial(&self, now: Instant, position: usize) -> bool {
        position < self.active && self.unproven[position] && now >= self.rested(position)
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
        for position in 0..self.active {
            self.unproven[position] = !self.proven(position);
        }
        self.wake = self.next_wake(now, conditions);
        Decided { moved, partition }
    }

    fn next(&self, now: Instant, conditions: &[Condition], idle: bool) -> Option<Move> {
        let from = self.active;
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
        if moved.to < moved.from {
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
        let mut network = conditions.iter().filter(|condition| condition.network).peekable();
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const WELL: Condition = Condition {
        network: true,
        breaker: BreakerState::Closed,
        standing: Standing::Up,
        misconfigured: false,
        silent_since: None,
        throttled_since: None,
    };

    fn chain(targets: usize) -> (Chain, Instant) {
        let knobs = ChainKnobs {
            failover_after: 30 * SECOND,
            min_stay: 60 * SECOND,
            targets: vec![TargetKnobs { patience: 120 * SECOND, proof: 3, rest: 5 * SECOND }; targets],
        };
        let now = Instant::now();
        (Chain::new(knobs, now), now)
    }

    fn moved(decided: Decided) -> Option<(usize, usize, &'static str)> {
        decided.moved.map(|moved| (moved.from, moved.to, moved.reason.as_str()))
    }

    /// A primary that fails from one moment on.
    /// Guarantees that traffic leaves after exactly `failover_after`, whatever the breaker says, and that the chain says when.
    #[test]
    fn traffic_leaves_after_failover_after() {
        let (mut chain, now) = chain(2);
        let silent = Condition { silent_since: Some(now), ..WELL };
        assert_eq!(moved(chain.decide(now + 29 * SECOND, &[silent, WELL], false)), None);
        assert_eq!(chain.wake(), Some(now + 30 * SECOND));
        let open = Condition { breaker: BreakerState::Open, ..silent };
        assert_eq!(moved(chain.decide(now + 29 * SECOND, &[open, WELL], false)), None);
        assert_eq!(moved(chain.decide(now + 30 * SECOND, &[silent, WELL], false)), Some((0, 1, "failure")));
    }

    /// Throttling, a wrong endpoint, a breaker opened by hand.
    /// Guarantees the patience of each reason, and its name.
    #[test]
    fn each_reason_has_its_patience() {
        let (mut chain, now) = chain(3);
        let throttling = Condition { throttled_since: Some(now), ..WELL };
        assert_eq!(moved(chain.decide(now + 119 * SECOND, &[throttling, WELL, WELL], false)), None);
        let decided = chain.decide(now + 120 * SECOND, &[throttling, WELL, WELL], false);
        assert_eq!(moved(decided), Some((0, 1, "throttle")));
        let wrong = Condition { misconfigured: true, ..WELL };
        let decided = chain.decide(now + 121 * SECOND, &[throttling, wrong, wrong], false);
        assert_eq!(moved(decided), Some((1, 0, "misconfigured")), "one that throttles is better than none");
        assert_eq!(moved(chain.decide(now + 122 * SECOND, &[throttling, throttling, wrong], false)), None);
        let forced = Condition { breaker: BreakerState::ForcedOpen, ..WELL };
        let decided = chain.decide(now + 123 * SECOND, &[forced, throttling, WELL], false);
        assert_eq!(moved(decided), Some((0, 2, "command")));
    }

    /// A primary that comes back while the fallback works.
    /// Guarantees that it needs the shortest stay, health, a closed breaker and three real batches in a row.
    #[test]
    fn the_way_back_is_proven() {
        let (mut chain, start) = chain(2);
        let wrong = Condition { misconfigured: true, ..WELL };
        chain.decide(start, &[wrong, WELL], false);
        assert_eq!(chain.active(), 1);
        assert!(!chain.wants_trial(start + 4 * SECOND, 0) && chain.wake() == Some(start + 5 * SECOND));
        assert!(chain.wants_trial(start + 5 * SECOND, 0) && !chain.wants_trial(start + 5 * SECOND, 1));
        let later = start + 61 * SECOND;
        for success in [true, true, false, true, true] {
            chain.tried(0, success);
        }
        assert_eq!(moved(chain.decide(later, &[WELL, WELL], false)), None);
        chain.tried(0, true);
        assert_eq!(moved(chain.decide(start + 59 * SECOND, &[WELL, WELL], false)), None);
        assert_eq!((chain.wants_trial(later, 0), chain.wake()), (false, Some(start + 60 * SECOND)));
        let down = Condition { standing: Standing::Down, ..WELL };
        let open = Condition { breaker: BreakerState::HalfOpen, ..WELL };
        for unfit in [down, open, wrong] {
            assert_eq!(moved(chain.decide(later, &[unfit, WELL], false)), None);
        }
        assert_eq!(moved(chain.decide(later, &[WELL, WELL], false)), Some((1, 0, "recovered")));
    }

    /// Nothing to send while the primary comes back.
    /// Guarantees that a primary which is positively up gets its place back without a batch, and an unknown one does not.
    #[test]
    fn an_idle_chain_returns_on_health_alone() {
        let (mut chain, now) = chain(2);
        let silent = Condition { silent_since: Some(now), ..WELL };
        chain.decide(now + 30 * SECOND, &[silent, WELL], false);
        let later = now + 90 * SECOND;
        let unknown = Condition { standing: Standing::Unknown, ..silent };
        assert_eq!(moved(chain.decide(later, &[unknown, WELL], true)), None);
        assert_eq!(moved(chain.decide(later, &[silent, WELL], false)), None);
        assert_eq!(moved(chain.decide(later, &[silent, WELL], true)), Some((1, 0, "recovered")));
    }

    /// All targets fail, then one comes back.
    /// Guarantees that traffic stays where it is while nobody accepts, that the partition is timed, and that a file target is
    /// used but is no network.
    #[test]
    fn a_partition_is_known_and_timed() {
        let (mut chain, now) = chain(3);
        let dead = Condition { breaker: BreakerState::Open, silent_since: Some(now), ..WELL };
        let file = Condition { network: false, ..WELL };
        let later = now + 40 * SECOND;
        let decided = chain.decide(later, &[dead, dead, Condition { breaker: BreakerState::Open, ..file }], false);
        assert_eq!((moved(decided), decided.partition), (None, Some(Partition::Began)));
        assert_eq!(chain.wake(), None, "nothing but an event changes anything");
        let decided = chain.decide(later, &[dead, dead, file], false);
        assert_eq!((moved(decided), decided.partition), (Some((0, 2, "failure")), None));
        let decided = chain.decide(later + 5 * SECOND, &[WELL, dead, file], false);
        assert_eq!(decided.partition, Some(Partition::Ended(5 * SECOND)));
        assert_eq!(chain.partitioned(later + 60 * SECOND), 5 * SECOND);
    }

    /// A primary that works for a minute after each return and then fails.
    /// Guarantees at most 6 failovers in the first hour and 1 an hour afterwards.
    #[test]
    fn a_flapping_primary_is_met_with_patience() {
        let (mut chain, start) = chain(2);
        let (mut now, mut failing_since) = (start, Some(start));
        let mut failovers = Vec::new();
        while now < start + 8 * Duration::from_secs(3600) {
            if chain.active() == 1 {
                (0..3).for_each(|_| chain.tried(0, true));
                failing_since = None;
            } else if now >= chain.active_since() + 60 * SECOND {
                failing_since = failing_since.or(Some(now));
            }
            let primary = Condition { silent_since: failing_since, ..WELL };
            if chain.decide(now, &[primary, WELL], false).moved.is_some_and(|moved| moved.to == 1) {
                failovers.push((now - start).as_secs() / 3600);
            }
            now += SECOND;
        }
        assert!(failovers.iter().filter(|hour| **hour == 0).count() <= 6, "{failovers:?}");
        for hour in 2..8 {
            assert!(failovers.iter().filter(|at| **at == hour).count() <= 1, "{failovers:?}");
        }
    }

    fn condition(now: Instant) -> impl Strategy<Value = Condition> {
        let since = move |bound: u64| {
            proptest::option::weighted(0.4, (0..bound).prop_map(move |ago| now - Duration::from_secs(ago)))
        };
        let breaker = prop_oneof![
            3 => Just(BreakerState::Closed),
            1 => proptest::sample::select(BreakerState::ALL.to_vec())
        ];
        let standing = proptest::sample::select(vec![Standing::Up, Standing::Up, Standing::Unknown, Standing::Down]);
        (any::<bool>(), breaker, standing, proptest::bool::weighted(0.1), since(60), since(240)).prop_map(
            |(network, breaker, standing, misconfigured, silent_since, throttled_since)| Condition {
                network,
                breaker,
                standing,
                misconfigured,
                silent_since,
                throttled_since,
            },
        )
    }

    #[allow(clippy::type_complexity, reason = "a step of the story, spelled once")]
    fn story() -> impl Strategy<Value = (Instant, Vec<(u64, Vec<Condition>, Option<(usize, bool)>, bool)>)> {
        let base = Instant::now() + Duration::from_secs(1000);
        let step =
            (0..40u64, proptest::collection::vec(condition(base), 3), any::<Option<(usize, bool)>>(), any::<bool>());
        proptest::collection::vec(step, 1..100).prop_map(move |steps| (base, steps))
    }

    proptest! {
        /// Any conditions of three targets over any time.
        /// Guarantees: traffic goes only to a target that accepts and leaves only for its reason; back only after the shortest
        /// stay; a partition exactly while no network target accepts; the time of partition never shrinks; moves are counted.
        #[test]
        fn whatever_the_targets_do((base, steps) in story()) {
            let (mut chain, _) = chain(3);
            let (mut now, mut total, mut seen) = (base, Duration::ZERO, 0);
            for (wait, mut conditions, tried, idle) in steps {
                now += Duration::from_secs(wait);
                for condition in &mut conditions {
                    let shift = now - base;
                    condition.silent_since = condition.silent_since.map(|at| at + shift);
                    condition.throttled_since = condition.throttled_since.map(|at| at + shift);
                }
                if let Some((position, success)) = tried {
                    chain.tried(position % 3, success);
                }
                let (active, since, stay) = (chain.active(), chain.active_since(), chain.stay);
                let decided = chain.decide(now, &conditions, idle);
                if let Some(moved) = decided.moved {
                    let left = conditions[active];
                    seen += 1;
                    prop_assert_eq!((moved.from, moved.to), (active, chain.active()));
                    prop_assert!(conditions[moved.to].accepts());
                    match moved.reason {
                        Reason::Failure => prop_assert!(now >= left.silent_since.unwrap() + 30 * SECOND),
                        Reason::Throttle => prop_assert!(now >= left.throttled_since.unwrap() + 120 * SECOND),
                        Reason::Misconfigured => prop_assert!(left.misconfigured),
                        Reason::Command => prop_assert_eq!(left.breaker, BreakerState::ForcedOpen),
                        Reason::Recovered => prop_assert!(moved.to < active && now >= since + stay),
                    }
                }
                let networks = conditions.iter().filter(|condition| condition.network).count();
                let accepting = conditions.iter().filter(|condition| condition.network && condition.accepts()).count();
                prop_assert_eq!(chain.partitioned_since().is_some(), networks > 0 && accepting == 0);
                prop_assert!(chain.partitioned(now) >= total);
                total = chain.partitioned(now);
                prop_assert!(chain.wake().is_none_or(|wake| wake > now));
                prop_assert!(chain.stay >= 60 * SECOND && chain.stay <= MAX_STAY);
            }
            prop_assert_eq!(chain.moves().map(|(_, count)| count).sum::<u64>(), seen);
        }
    }
}
