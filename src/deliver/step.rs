//! The delivery of one signal, and the loop around it.
//!
//! A step is one batch from lease to settlement. The loop runs as many at once as chain, breakers and lanes allow, and otherwise
//! waits: for an answer, a wake-up, a moment, or data. Nothing is polled and nothing is done per queued batch while nobody accepts.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::Either;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;
use tokio::time::Instant;

use super::alone;
use super::detour::{Detour, PASSED_EVERY};
use super::judge::{self, Case, Judgement, judge};
use super::line::{Line, Next, Sortie};
use super::line_state::State;
use super::request::{Effect, Report};
use super::suspects::{Failure, Suspicion, TRIED_EVERY};
use super::target_state::SHORT_PAUSE;
use super::timeline::now_ms;
use super::together;
use crate::batch::{Batch, Key};
use crate::config::Order;
use crate::otlp::answer::{Answer, Break};
use crate::otlp::class::{self, Class};
use crate::queue::{Lane, Lease, Settlement, Taker};
use crate::target::Shipment;

/// Batches that are sent off in one go before others on this thread get a turn.
const TURN: usize = 64;

/// With `order: fifo` a refused batch that was alone is left alone for no longer.
const LONGEST_ALONE: Duration = Duration::from_secs(1);

/// When to stop: `None` while all goes on, then the moment by which everything has to have ended.
pub type Stop = watch::Receiver<Option<Instant>>;

/// One batch, from lease to settlement. Chain, breaker and lanes have said where it goes and from which lane.
async fn step(line: &Line, mut away: Away<'_>, mut sortie: Sortie) {
    let Some(lease) = lease(line, &mut sortie).await else {
        return line.dry(&sortie);
    };
    let Some(mut lease) = within_limit(line, &sortie, lease).await else { return };
    let along = along(line, &sortie, &lease).await;
    if !along.is_empty() {
        return together::together(line, away, sortie, [lease].into_iter().chain(along).collect()).await;
    }
    sortie.pass.sends(lease.weight());
    line.leased(sortie.position, sortie.charge, std::slice::from_ref(&lease));
    let replay = lease.lane == Lane::Backlog || lease.owed;
    let shipment = Shipment { batch: lease.batch.clone(), id: lease.id, along: Vec::new(), replay };
    away.in_doubt.push(lease.id.key);

    let answer = sortie.pass.gate().target.send(&shipment).await;

    away.answered(&answer);
    let class = reclassified(&sortie, &answer);
    let parts = match class {
        Class::TooLarge => parts(line, sortie.position, &lease).await,
        _ => None,
    };
    let mut judgement = judged(line, &sortie, &lease, (&answer, class), parts.as_deref());
    if judgement.ask_empty {
        ask_empty(line, &sortie, lease.id.key).await;
    }
    let delay = class::floor(&answer);
    if class == Class::Throttle && delay.is_none_or(|delay| delay <= SHORT_PAUSE) {
        lease.was_not_tried();
        if line.order == Order::FreshFirst && lease.lane == Lane::Fresh && delay.is_none() {
            // Others may go meanwhile; the backlog is held anyway, and everything is by a delay that the target asks for.
            let hold = sortie.pass.gate().config.retry.initial_interval;
            judgement.settlement = Settlement::Return { hold };
        }
    }
    sortie.pass.report(&shipment, class, &answer, Report { effect: judgement.effect, delay });
    settle(line, sortie.position, lease, judgement);
}

/// A request on its way. However that ends, the line hears of it.
pub(super) struct Away<'a> {
    line: &'a Line,
    position: usize,
    trial: bool,
    owed_only: bool,
    /// The target may have got these without saying so.
    pub(super) in_doubt: Vec<Key>,
}

impl<'a> Away<'a> {
    fn new(line: &'a Line, sortie: &Sortie) -> Away<'a> {
        let Sortie { position, trial, owed_only, .. } = *sortie;
        Away { line, position, trial, owed_only, in_doubt: Vec::new() }
    }

    /// Unless the answer is that there was none, the target's word is known.
    pub(super) fn answered(&mut self, answer: &Answer) {
        if !matches!(answer, Answer::Broken { at: Break::Timeout | Break::Reset, .. }) {
            self.in_doubt.clear();
        }
    }
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        self.line.back(self.position, self.trial, self.owed_only, &self.in_doubt);
    }
}

/// The batches that go with that one, in one request.
async fn along(line: &Line, sortie: &Sortie, lease: &Lease) -> Vec<Lease> {
    let Some(mut bundle) = together::around(line, sortie, lease) else { return Vec::new() };
    line.queue.lease_along(lease, line.taker(sortie.position), |id, batch| bundle.takes(id, batch)).await
}

/// The class of an answer, given what else is under way and what the configuration wishes.
pub(super) fn reclassified(sortie: &Sortie, answer: &Answer) -> Class {
    judge::reclassify(&sortie.pass.gate().config, answer, sortie.pass.classify(answer))
}

/// Takes the batch from the queue.
async fn lease(line: &Line, sortie: &mut Sortie) -> Option<Lease> {
    let taker = line.taker(sortie.position);
    let lease = match sortie.lease.take() {
        Some(lease) => lease,
        None if sortie.pass.slot().trial && line.order == Order::FreshFirst => for_trial(line, sortie, taker).await?,
        None => line.queue.lease(line.signal, sortie.charge.lane(), taker).await?,
    };
    if sortie.owed_only && !lease.owed { None } else { Some(lease) }
}

/// A breaker tries its target out with a batch that was tried least: were those that failed tried first, a few that fail everywhere
/// would keep it shut.
async fn for_trial(line: &Line, sortie: &Sortie, taker: Taker) -> Option<Lease> {
    let slot = sortie.pass.slot();
    if slot.fresh
        && let Some(lease) = line.queue.lease(line.signal, Lane::Fresh, taker).await
    {
        return Some(lease);
    }
    if slot.backlog { line.queue.lease_least_tried(line.signal, taker).await } else { None }
}

/// Cuts a batch that is larger than what the target is known to take; its parts are sent in its place.
async fn within_limit(line: &Line, sortie: &Sortie, lease: Lease) -> Option<Lease> {
    let len = lease.batch.inflated_len as usize;
    let Some(limit) = line.lock().ceilings[sortie.position].cut(Instant::now(), len) else {
        return Some(lease);
    };
    let Some(parts) = line.knife.cut(&lease.batch, limit, lease.room_for_parts()).await else {
        return Some(lease);
    };
    line.lock().lanes.correct(sortie.charge, 0);
    settle(line, sortie.position, lease, Judgement::new(Settlement::Split(parts), Effect::Nothing));
    None
}

/// What a batch that was refused as too large can be cut into.
async fn parts(line: &Line, position: usize, lease: &Lease) -> Option<Vec<Batch>> {
    let limit = line.lock().ceilings[position].refused(Instant::now(), lease.batch.inflated_len as usize);
    // What is refused below the lowest limit is halved.
    let limit = limit.min(lease.batch.inflated_len as usize / 2);
    line.knife.cut(&lease.batch, limit, lease.room_for_parts()).await
}

/// What the answer means, with what the line knows of this batch and of others.
fn judged(
    line: &Line,
    sortie: &Sortie,
    lease: &Lease,
    (answer, class): (&Answer, Class),
    parts: Option<&[Batch]>,
) -> Judgement {
    let slot = sortie.pass.slot();
    let blamed = !matches!(class, Class::Ok | Class::Transient | Class::Throttle);
    let case = Case {
        parts,
        repeat: line.order == Order::Fifo && lease.id.key.seq < line.started_at,
        alone: blamed && line.nothing_else(sortie.position),
        room: blamed && !line.queue.dead_letters_full(),
        at_ms: if class == Class::Ok { 0 } else { now_ms() },
        ..line.case(&sortie.pass, sortie.position, lease)
    };
    let now = Instant::now();
    let mut state = line.lock();
    let state = &mut *state;
    let mut judgement = judge(now, &case, answer, class, &mut state.witnesses[sortie.position]);
    if judgement.effect == Effect::Failure && judge::may_blame_batch(answer) {
        let lasted = now.saturating_duration_since(case.sent);
        let failure = Failure { now, at_ms: case.at_ms, lasted, trial: slot.trial };
        let suspicion = state.suspects[sortie.position].failed(case.key, failure);
        match suspicion {
            Suspicion::Hold(hold) | Suspicion::Doubt(hold) => {
                if matches!(suspicion, Suspicion::Doubt(_)) {
                    judgement.effect = Effect::Suspect;
                }
                if line.order == Order::FreshFirst {
                    judgement.settlement = Settlement::Return { hold };
                }
            }
            Suspicion::Park(past) | Suspicion::Convict(past) => {
                judgement.settlement = Settlement::Park(judge::suspect(&case, answer, past));
                state.try_parked_at.get_or_insert(now + TRIED_EVERY);
            }
        }
    }
    let judgement = in_order(line, state, sortie, &case, answer, judgement);
    match judgement.effect {
        Effect::Success => {
            let rejected = judge::rejected(answer, case.items);
            let gate = sortie.pass.gate();
            gate.counts.took(line.signal, lease.lane, lease.owed, case.items, rejected);
            state.took(now, sortie.position, sortie.trial, lease);
        }
        Effect::Nothing => state.stale |= sortie.trial,
        _ => state.failed(sortie.position, sortie.trial),
    }
    judgement
}

/// With `order: fifo` a refused batch stays at the head; after some refusals one other is let past it, to find out who is at fault.
/// Where the fallback will take it for good, the fallback settles that.
///
/// The same is done for one that hangs or breaks the connection, if the target was found well between its failures
/// and before this attempt: that it was well before shows nothing, and after it, that it is well again.
fn in_order(
    line: &Line,
    state: &State,
    sortie: &Sortie,
    case: &Case<'_>,
    answer: &Answer,
    judgement: Judgement,
) -> Judgement {
    let Settlement::Return { hold } = judgement.settlement else { return judgement };
    if line.order == Order::FreshFirst {
        return judgement;
    }
    if line.nothing_else(sortie.position) {
        // Whatever comes in meanwhile waits behind it.
        return Judgement { settlement: Settlement::Return { hold: hold.min(LONGEST_ALONE) }, ..judgement };
    }
    if matches!(answer, Answer::Broken { at: Break::Timeout, .. }) {
        sortie.pass.gate().doubt(); // before this one is tried again
    }
    let (slot, detour) = (sortie.pass.slot(), &state.detours[sortie.position]);
    let turn = match (judgement.effect, answer) {
        (Effect::Doubt, _) => {
            let refusals = state.witnesses[sortie.position].refusals(case.key);
            let trial = slot.trial && !detour.is_passing();
            refusals > 0 && (refusals.is_multiple_of(PASSED_EVERY) || trial)
        }
        (Effect::Failure | Effect::Suspect, Answer::Broken { at: Break::Timeout | Break::Reset, .. }) => {
            let since = state.suspects[sortie.position].suspect_since(case.key);
            since.is_some_and(|since| slot.well.is_some_and(|well| well >= since))
        }
        _ => return judgement,
    };
    // Where traffic goes elsewhere the batch is to be sent there, unless that target gets nothing that had to wait.
    let waits = sortie.charge.lane() == Lane::Backlog && !line.fallback_takes_backlog;
    let stays = !sortie.trial || sortie.owed_only || waits;
    judgement.at_the_head(stays && turn && detour.has_room())
}

/// Nothing else of the signal can be sent, and the patience is over: an empty request may witness against the batch.
async fn ask_empty(line: &Line, sortie: &Sortie, key: Key) {
    let answer = sortie.pass.gate().target.send_empty(line.signal).await;
    if matches!(answer, Answer::Accepted { .. }) {
        line.lock().witnesses[sortie.position].vouched(key);
    }
}

pub(super) fn settle(line: &Line, position: usize, lease: Lease, judgement: Judgement) {
    note(line, position, &lease, &judgement);
    if judgement.aside {
        let mut state = line.lock();
        // A target that lost the traffic meanwhile is not asked again, and would keep the batch for good.
        if position <= state.chain.active() {
            return state.detours[position].keep(lease);
        }
    }
    line.queue.settle(lease, judgement.settlement);
}

/// The line takes note of how a lease ends.
pub(super) fn note(line: &Line, position: usize, lease: &Lease, judgement: &Judgement) {
    match &judgement.settlement {
        Settlement::Return { .. } if !judgement.aside => line.lock().detours[position].returned(),
        Settlement::Return { .. } | Settlement::Park(_) => {}
        Settlement::Owed => line.lock().owes = true,
        Settlement::Split(parts) => {
            line.splits.add(1);
            let (signal, batch, bytes) = (line.signal, lease.id.key, lease.batch.inflated_len);
            tracing::info!(%signal, %batch, bytes, parts = parts.len(), "too large for its target: cut");
            line.lock().forget(lease.id.key);
        }
        Settlement::Delivered { .. } | Settlement::Dead(_) | Settlement::Dropped(_) => {
            line.settled_bytes.add(lease.weight() as u64);
            line.lock().forget(lease.id.key);
        }
    }
}

/// Runs a line until it is stopped: then no new leases, what is in flight may end in time, the rest goes back to the queue.
pub async fn run(line: Arc<Line>, mut stop: Stop) {
    let line = &*line;
    let mut flights = FuturesUnordered::new();
    let mut wake = std::pin::pin!(tokio::time::sleep_until(Instant::now()));
    while stop.borrow().is_none() && !line.gates.is_empty() {
        let mut sent = 0;
        let (until, data) = loop {
            let now = Instant::now();
            if line.decide(now, flights.len()) {
                flights.clear();
            }
            if let Some((pass, position)) = line.next_alone(now) {
                flights.push(Either::Right(alone::alone(line, pass, position)));
            }
            match line.next(now) {
                Next::Go(sortie) => flights.push(Either::Left(step(line, Away::new(line, &sortie), *sortie))),
                Next::Wait { until, data } => break (until, data),
            }
            // Lets it take its lease, so that the next look at the queue no longer sees that batch.
            while let Some(Some(())) = flights.next().now_or_never() {}
            sent += 1;
            if sent % TURN == 0 {
                tokio::task::yield_now().await;
                if stop.borrow().is_some() {
                    break (None, false);
                }
            }
        };
        if let Some(until) = until
            && until != wake.deadline()
        {
            wake.as_mut().reset(until);
        }
        tokio::select! {
            biased;
            stopped = stop.changed() => if stopped.is_err() { break },
            Some(()) = flights.next(), if !flights.is_empty() => {}
            () = line.stir.woken(line.signal) => {}
            () = &mut wake, if until.is_some() => {}
            () = line.queue.ready(line.signal), if data => {}
        }
    }
    let deadline = stop.borrow().unwrap_or_else(Instant::now);
    let ended = async { while flights.next().await.is_some() {} };
    if tokio::time::timeout_at(deadline, ended).await.is_err() {
        tracing::info!("{}: {} requests given up at stop", line.signal, flights.len());
    }
    drop(flights);
    line.lock().detours.iter_mut().for_each(Detour::give_back);
}
