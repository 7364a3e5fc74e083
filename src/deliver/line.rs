//! The line of one signal: its chain, lanes and witnesses, and what is to go next where.
//!
//! One task a signal runs it ([`step`](super::step)); snapshots look in from outside, hence the lock, which nobody holds across an
//! await. It knows the queue and the gates, and sends nothing itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::chain::{Condition, Move, Partition, Reason};
use super::detour::Detour;
use super::gate::{Gate, Pass};
use super::judge::{Case, Role};
use super::knife::Knife;
use super::lanes::Charge;
use super::line_state::State;
use super::request::{Ask, Wait};
use super::snapshot::{ChainView, Failover};
use super::stir::Stir;
use super::target_state::IDLE_AFTER;
use super::timeline::{Timeline, wall_ms};
use crate::batch::{Key, Signal};
use crate::config::{ChainConfig, Order, ReplayConfig, TargetKind};
use crate::queue::{Lease, Queue, Taker};
use crate::tally::Counter;
use crate::units::format_duration;

/// A lane whose lease came up empty although it had said otherwise is left alone for so long: a disagreement must not spin.
const DRY_FOR: Duration = Duration::from_millis(20);

/// How long what came in counts as fresh: as backlog, what gathers while a target asks for a pause would wait behind all of that.
const FRESH_FOR: Duration = Duration::from_secs(10);

/// The same of what came in while its target was away. After an outage memory is full of that; sent as fresh it would keep new data
/// waiting, and go out at no pace.
const FRESH_FOR_WHILE_AWAY: Duration = Duration::from_secs(2);

/// A parked batch whose try is due while its target is not well waits so long before the next look.
const ASKED_EVERY: Duration = Duration::from_secs(5);

/// See the module.
pub struct Line {
    /// Which signal.
    pub signal: Signal,
    /// In which order it is delivered.
    pub order: Order,
    /// Where batches come from.
    pub queue: Queue,
    /// The targets of the chain, the primary first.
    pub gates: Vec<Arc<Gate>>,
    /// Cuts what is too large.
    pub knife: Arc<Knife>,
    /// Batches below this sequence number were there when the process started.
    pub started_at: u64,
    /// Wakes this line's loop.
    pub stir: Arc<Stir>,
    /// Sends that repeat what a target may already have.
    pub duplicate_sends: Arc<Counter>,
    /// Bytes that left the queue through this line, settled for good.
    pub settled_bytes: Arc<Counter>,
    /// Batches that were cut into parts.
    pub splits: Arc<Counter>,
    /// Batches that were taken in one request with others.
    pub merged: Arc<Counter>,
    failover_after: Duration,
    min_stay: Duration,
    fresh_share: f64,
    /// Whether targets other than the primary get what had to wait.
    pub fallback_takes_backlog: bool,
    timeline: Arc<Timeline>,
    state: Mutex<State>,
}

/// One batch that may go: where, and from which lane.
pub struct Sortie {
    /// Leave to send.
    pub pass: Pass,
    /// Position of the target in the chain.
    pub position: usize,
    /// Whether it tries out a target before the active one.
    pub trial: bool,
    /// Whether nothing but an owed batch will do: the order at the active target must not suffer from a trial that fails.
    pub owed_only: bool,
    /// The lane, and what it was charged.
    pub charge: Charge,
    /// The batch itself, where it waited outside the queue.
    pub lease: Option<Lease>,
}

/// What a line's loop is to do.
pub enum Next {
    /// Send.
    Go(Box<Sortie>),
    /// Wait for an answer, a wake-up, `until`, or, if `data`, for the queue to have something.
    Wait {
        /// When to look again at the latest.
        until: Option<Instant>,
        /// Whether new data would change anything.
        data: bool,
    },
}

#[derive(Default)]
struct Waiting {
    until: Option<Instant>,
    data: bool,
}

impl Waiting {
    fn no_later_than(&mut self, at: Option<Instant>) {
        self.until = self.until.into_iter().chain(at).min();
    }
}

impl Line {
    /// The line of a signal over its chain's gates, the primary first. To [`begin`](Line::begin) before it runs.
    pub fn new(
        signal: Signal,
        order: Order,
        configs: (&ChainConfig, &ReplayConfig),
        gates: Vec<Arc<Gate>>,
        (queue, knife): (Queue, Arc<Knife>),
        told: (Arc<Stir>, Arc<Timeline>),
    ) -> Line {
        let (config, replay) = configs;
        let now = Instant::now();
        let state = State::new(config, replay, &gates, now);
        Line {
            signal,
            order,
            started_at: queue.snapshot().signals[signal.index()].books.next_seq,
            queue,
            gates,
            knife,
            stir: told.0,
            duplicate_sends: Arc::default(),
            settled_bytes: Arc::default(),
            splits: Arc::default(),
            merged: Arc::default(),
            failover_after: config.failover_after,
            min_stay: config.min_stay,
            fresh_share: replay.fresh_share,
            fallback_takes_backlog: config.fallback_takes_backlog,
            timeline: told.1,
            state: Mutex::new(state),
        }
    }

    /// Whether it would do all that `other` does: the same targets, in the same state, under the same rules.
    pub fn is_as(&self, other: &Line) -> bool {
        let rules = |line: &Line| {
            (line.order, line.failover_after, line.min_stay, line.fresh_share, line.fallback_takes_backlog)
        };
        let same = self.gates.iter().zip(&other.gates).all(|(gate, other)| Arc::ptr_eq(gate, other));
        same && self.gates.len() == other.gates.len() && rules(self) == rules(other)
    }

    /// What changes.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As what the target at that position gets its batches.
    pub fn role(&self, position: usize) -> Role {
        match position {
            0 => Role::Primary,
            _ if self.gates[position].config.replay_to_primary => Role::Interim,
            _ => Role::Final,
        }
    }

    /// For whom that position leases.
    pub fn taker(&self, position: usize) -> Taker {
        if position == 0 { Taker::Primary } else { Taker::Fallback }
    }

    /// The chain decides, if anything changed. Whether what is in flight is to be given up: traffic has left its target, and in
    /// strict order it goes first at the next one.
    pub fn decide(&self, now: Instant, flying: usize) -> bool {
        let mut state = self.lock();
        self.decide_if_due(&mut state, now, flying);
        std::mem::take(&mut state.moved) && self.order == Order::Fifo
    }

    /// The chain has picked a target, its breaker admits, the lanes choose: one batch that may go, or what to wait for.
    pub fn next(&self, now: Instant) -> Next {
        let mut state = self.lock();
        let state = &mut *state;
        let mut waiting = Waiting { until: state.check_at, data: false };
        state.asking.fill(false);
        self.age(state, now);
        let open = if state.paused { 0 } else { state.chain.active() + 1 };
        if !state.paused {
            waiting.no_later_than(state.try_parked_at);
        }
        for position in 0..open {
            let trial = position + 1 < open;
            let Some(owed_only) = self.may_ask(state, now, position) else { continue };
            if let Some(sortie) = self.ask(state, now, position, &mut waiting) {
                state.trying[position] |= trial;
                state.ordinary += usize::from(!owed_only);
                self.check_after(state, now);
                return Next::Go(Box::new(Sortie { trial, owed_only, ..sortie }));
            }
        }
        for (position, gate) in self.gates.iter().enumerate() {
            if state.asked[position] && !state.asking[position] {
                gate.withdraw(self.signal);
            }
        }
        state.asked.copy_from_slice(&state.asking);
        Next::Wait { until: waiting.until.map(|at| at.max(now + Duration::from_millis(1))), data: waiting.data }
    }

    /// What is no longer new is backlog from now on.
    fn age(&self, state: &mut State, now: Instant) {
        if state.paused || self.gates[state.chain.active()].is_away(now, self.signal) {
            state.away_at = now;
        }
        let while_away = now.checked_sub(FRESH_FOR_WHILE_AWAY).map(|before| before.min(state.away_at));
        if let Some(before) = while_away.max(now.checked_sub(FRESH_FOR)) {
            self.queue.age(self.signal, before);
        }
    }

    /// Whether the target at that position may be asked now; and if so, whether for an owed batch only.
    ///
    /// In strict order one batch is on its way at a time. A trial of the primary need not wait, and keeps nobody waiting, where it can
    /// be made with what the fallback has already.
    fn may_ask(&self, state: &State, now: Instant, position: usize) -> Option<bool> {
        let active = state.chain.active();
        let trial = position < active;
        if trial && (state.trying[position] || !state.chain.wants_trial(now, position)) {
            return None;
        }
        if self.order == Order::FreshFirst {
            return Some(false);
        }
        let owed = state.owes || state.detours[position].holds_owed();
        let owed_only = trial && position == 0 && self.role(active) == Role::Interim && owed;
        let clear = owed_only || (state.ordinary == 0 && (trial || !state.trying[position]));
        clear.then_some(owed_only)
    }

    fn ask(&self, state: &mut State, now: Instant, position: usize, waiting: &mut Waiting) -> Option<Sortie> {
        let gate = &self.gates[position];
        let pending = self.queue.pending(self.signal, self.taker(position));
        let mut there = [pending.fresh, pending.backlog && (position == 0 || self.fallback_takes_backlog)];
        there = there.map(|there| there && !pending.laden);
        for (lane, dry) in there.iter_mut().zip(&mut state.dry) {
            *dry = dry.filter(|until| *until > now);
            *lane &= dry.is_none();
            waiting.no_later_than(*dry);
        }
        let lease = state.detours[position].resume();
        let [fresh, backlog] = if lease.is_some() { [false, true] } else { there };
        if !fresh && !backlog {
            state.detours[position].give_back();
            waiting.no_later_than(pending.held_until);
            waiting.data = true;
            return None;
        }
        state.busy_at = now;
        let paced = self.order == Order::FreshFirst && matches!(gate.config.kind, TargetKind::Network(_));
        match gate.admit(now, Ask { signal: self.signal, fresh, backlog, paced }) {
            Ok(mut pass) => {
                state.asked[position] = false;
                let (fresh, backlog) = (pass.slot().fresh, pass.slot().backlog);
                // In strict order what is older goes first.
                let fresh = fresh && (self.order == Order::FreshFirst || !backlog);
                let charge = state.lanes.choose(fresh, backlog)?;
                pass.choose(charge.lane());
                state.detours[position].set_out();
                Some(Sortie { pass, position, trial: false, owed_only: false, charge, lease })
            }
            Err(wait) => {
                if let Some(lease) = lease {
                    state.detours[position].put_back(lease);
                }
                match wait {
                    Wait::Until(at) => waiting.no_later_than(Some(at)),
                    Wait::Pace(at) => {
                        waiting.no_later_than(Some(at));
                        waiting.data = true;
                    }
                    Wait::Event => {}
                }
                (state.asking[position], state.asked[position]) = (true, true);
                self.check_after(state, now);
                None
            }
        }
    }

    /// Something is under way from now on, or kept from it: silence may begin now.
    fn check_after(&self, state: &mut State, now: Instant) {
        let check_at = now + self.failover_after;
        state.check_at = Some(state.check_at.map_or(check_at, |at| at.min(check_at)));
    }

    fn decide_if_due(&self, state: &mut State, now: Instant, flying: usize) {
        let epoch = self.stir.epoch();
        if !state.stale && epoch == state.epoch && state.check_at.is_none_or(|at| now < at) {
            return;
        }
        (state.stale, state.epoch) = (false, epoch);
        let conditions: Vec<Condition> = self.gates.iter().map(|gate| gate.condition(now, self.signal)).collect();
        let waits = flying > 0 || state.asked.contains(&true);
        let idle_at = state.busy_at + IDLE_AFTER;
        let decided = state.chain.decide(now, &conditions, !waits && now >= idle_at);
        if let Some(moved) = decided.moved {
            self.moved(state, now, moved);
        }
        match decided.partition {
            Some(Partition::Began) => {
                self.timeline.note(format!("{}: partitioned, no network target accepts", self.signal));
            }
            Some(Partition::Ended(after)) => {
                self.timeline.note(format!("{}: partition ended after {}", self.signal, format_duration(after)));
            }
            None => {}
        }
        let away = state.chain.active() > 0;
        let flight = waits.then(|| now + self.failover_after);
        let idle = (away && now < idle_at).then_some(idle_at);
        state.check_at = [state.chain.wake(), flight, idle].into_iter().flatten().min();
    }

    pub(super) fn moved(&self, state: &mut State, now: Instant, moved: Move) {
        let (from, to) = (&self.gates[moved.from], &self.gates[moved.to]);
        from.set_active(now, self.signal, false, false);
        to.set_active(now, self.signal, true, moved.to < moved.from);
        state.detours.iter_mut().for_each(Detour::give_back);
        state.owes = false;
        state.moved = moved.reason != Reason::Recovered;
        let (from, to) = (&from.config.name, &to.config.name);
        self.timeline.note(format!("{}: traffic goes from {from} to {to}, {}", self.signal, moved.reason.as_str()));
    }

    /// A request with these batches goes to the target at that position.
    pub fn leased(&self, position: usize, charge: Charge, leases: &[Lease]) {
        let mut state = self.lock();
        state.lanes.correct(charge, leases.iter().map(Lease::weight).sum());
        let again = leases.iter().filter(|lease| state.in_doubt[position].holds(lease.id.key)).count();
        self.duplicate_sends.add(again as u64);
    }

    /// A parked batch that may be tried: where.
    pub fn next_alone(&self, now: Instant) -> Option<(Pass, usize)> {
        let mut state = self.lock();
        state.try_parked_at.filter(|at| *at <= now && !state.paused)?;
        state.try_parked_at = Some(now + ASKED_EVERY);
        let position = state.chain.active();
        if self.role(position) == Role::Interim {
            return None; // a parked batch cannot be owed
        }
        let pass = self.gates[position].admit_alone(now, self.signal)?;
        state.try_parked_at = None;
        Some((pass, position))
    }

    /// The lane had nothing after all, or, for a trial that needs an owed batch, nothing owed.
    pub fn dry(&self, sortie: &Sortie) {
        let mut state = self.lock();
        state.lanes.correct(sortie.charge, 0);
        state.detours[sortie.position].give_back();
        if sortie.owed_only {
            state.owes = false;
        } else {
            state.dry[sortie.charge.lane() as usize] = Some(Instant::now() + DRY_FOR);
        }
    }

    /// A request is no longer on its way, however that ended; `in_doubt` names its batches if the target may have them all the same.
    pub fn back(&self, position: usize, trial: bool, owed_only: bool, in_doubt: &[Key]) {
        let mut state = self.lock();
        state.detours[position].ended();
        state.trying[position] &= !trial;
        state.ordinary -= usize::from(!owed_only);
        in_doubt.iter().for_each(|key| state.in_doubt[position].add(*key));
    }

    /// The circumstances of an answer that hold for any batch. Of others it says nothing, and it leaves no room for a dead letter.
    pub fn case<'a>(&self, pass: &'a Pass, position: usize, lease: &Lease) -> Case<'a> {
        let slot = pass.slot();
        Case {
            config: &pass.gate().config,
            role: self.role(position),
            key: lease.id.key,
            items: lease.batch.items,
            attempts: lease.attempts,
            len: lease.batch.inflated_len as usize,
            parts: None,
            repeat: false,
            sent: slot.sent,
            breaker_closed: slot.breaker_closed,
            alone: false,
            room: false,
            at_ms: 0,
        }
    }

    /// Whether nothing of the signal could be leased for the target at that position now.
    pub fn nothing_else(&self, position: usize) -> bool {
        let pending = self.queue.pending(self.signal, self.taker(position));
        !pending.fresh && !pending.backlog
    }

    /// The chain as people see it.
    pub fn view(&self) -> ChainView {
        let now = Instant::now();
        let mut state = self.lock();
        let name = |position: usize| self.gates.get(position).map(|gate| gate.config.name.clone()).unwrap_or_default();
        let (bytes, items) = state.drained.rates(now);
        let chain = &state.chain;
        ChainView {
            targets: (0..self.gates.len()).map(name).collect(),
            active: name(chain.active()),
            active_since_ms: wall_ms(chain.active_since()),
            partitioned_since_ms: chain.partitioned_since().map(wall_ms),
            partition_seconds: chain.partitioned(now).as_secs_f64(),
            failovers: chain
                .moves()
                .map(|(moved, count)| Failover {
                    from: name(moved.from),
                    to: name(moved.to),
                    reason: moved.reason.as_str(),
                    count,
                })
                .collect(),
            replay_bytes_per_second: bytes,
            replay_items_per_second: items,
            split_batches: self.splits.get(),
            merged_batches: self.merged.get(),
        }
    }
}
