//! Several small batches in one request.
//!
//! What waits gets on faster so: a hub far away answers one request instead of hundreds, and compression finds more to share.
//! Nothing ever waits for company. Taken, all of them are settled in one write. Not taken, all of them go back in their order, and no
//! verdict is spoken of any: where it may be the fault of one, each is sent by itself from then on, and judged then.

use tokio::time::Instant;

use super::bundle::{Bundle, Limits};
use super::judge::{self, Judgement, judge};
use super::line::{Line, Sortie};
use super::request::{Effect, Report};
use super::step::{Away, note, reclassified};
use crate::batch::Batch;
use crate::config::{Order, TargetKind};
use crate::otlp::answer::Answer;
use crate::otlp::class::{self, Class};
use crate::queue::{Lane, Lease};
use crate::target::Shipment;

/// A request holds no more than what the backlog's pace allows in this part of a second: a hub that complained gets no lumps.
const OF_A_SECOND: f64 = 0.1;

/// Which batches may go with that one, if any: a target is tried out with single ones, and what was sent before goes alone.
pub fn around(line: &Line, sortie: &Sortie, lease: &Lease) -> Option<Bundle> {
    let gate = sortie.pass.gate();
    let TargetKind::Network(network) = &gate.config.kind else { return None };
    let tried = sortie.pass.slot().trial || sortie.trial || sortie.owed_only || lease.attempts > 0;
    // Fresh data that need not keep in line goes as it comes, side by side.
    let waits = lease.lane == Lane::Backlog || line.order == Order::Fifo;
    if tried || !waits {
        return None;
    }
    let state = line.lock();
    if !state.detours[sortie.position].is_straight() {
        return None;
    }
    let limits = Limits {
        below: usize::try_from(network.merge.below).unwrap_or(usize::MAX),
        up_to: usize::try_from(network.merge.up_to)
            .unwrap_or(usize::MAX)
            .min(state.ceilings[sortie.position].limit(Instant::now())),
        weight: (gate.backlog_rate() * OF_A_SECOND) as usize,
    };
    Bundle::around(limits, lease.id, &lease.batch)
}

/// These batches, from lease to settlement.
pub(super) async fn together(line: &Line, mut away: Away<'_>, mut sortie: Sortie, mut leases: Vec<Lease>) {
    sortie.pass.sends(leases.iter().map(Lease::weight).sum());
    line.leased(sortie.position, sortie.charge, &leases);
    // Their bytes are in the request then; whatever comes of it, nobody needs them here.
    let batches = leases.iter_mut().map(|lease| {
        let body = std::mem::take(&mut lease.batch.body);
        Batch { body, ..lease.batch.clone() }
    });
    let batches = batches.collect();
    let Some(batch) = line.knife.join(batches, sortie.pass.gate().config.packing()).await else {
        return; // one of them cannot be read: each by itself, then
    };
    let replay = leases.iter().any(|lease| lease.lane == Lane::Backlog || lease.owed);
    let along = leases[1..].iter().map(|lease| lease.id).collect();
    let shipment = Shipment { batch, id: leases[0].id, along, replay };
    away.in_doubt = leases.iter().map(|lease| lease.id.key).collect();

    let answer = sortie.pass.gate().target.send(&shipment).await;

    away.answered(&answer);
    let class = reclassified(&sortie, &answer);
    let effect = match class {
        Class::Ok => {
            taken(line, &sortie, leases, &shipment.batch, &answer);
            Effect::Success
        }
        _ => refused(line, &sortie, leases, &shipment.batch, (&answer, class)),
    };
    sortie.pass.report(&shipment, class, &answer, Report { effect, delay: class::floor(&answer) });
}

/// All of them are settled, in one write. Of items that the target refused nobody knows whose they were: those of the first batches
/// count as refused.
fn taken(line: &Line, sortie: &Sortie, leases: Vec<Lease>, whole: &Batch, answer: &Answer) {
    let now = Instant::now();
    let mut rejected = judge::rejected(answer, whole.items);
    let mut state = line.lock();
    let judge_one = |lease: Lease| {
        let share = rejected.min(lease.batch.items);
        rejected -= share;
        let answer = Answer::Accepted { rejected: share.into(), message: String::new() };
        let case = line.case(&sortie.pass, sortie.position, &lease);
        let judgement = judge(now, &case, &answer, Class::Ok, &mut state.witnesses[sortie.position]);
        sortie.pass.gate().counts.took(line.signal, lease.lane, lease.owed, lease.batch.items, share);
        state.took(now, sortie.position, sortie.trial, &lease);
        (lease, judgement)
    };
    let judged: Vec<(Lease, Judgement)> = leases.into_iter().map(judge_one).collect();
    state.ceilings[sortie.position].taken(now, whole.inflated_len as usize);
    drop(state);
    line.merged.add(judged.len() as u64);
    judged.iter().for_each(|(lease, judgement)| note(line, sortie.position, lease, judgement));
    line.queue.settle_all(judged.into_iter().map(|(lease, judgement)| (lease, judgement.settlement)));
}

/// All of them go back. To the target it means what it would mean of any request.
fn refused(
    line: &Line,
    sortie: &Sortie,
    mut leases: Vec<Lease>,
    whole: &Batch,
    (answer, class): (&Answer, Class),
) -> Effect {
    let (effect, may_be_one) = match class {
        Class::Throttle => (Effect::Throttle, false),
        Class::Transient => (Effect::Failure, judge::may_blame_batch(answer)),
        Class::Endpoint => (Effect::Misconfigured, true), // which each may have to answer for
        Class::TooLarge => (Effect::Nothing, true),
        Class::Ok | Class::Refused | Class::Unlisted => (Effect::Doubt, true),
    };
    let mut state = line.lock();
    if class == Class::TooLarge {
        state.ceilings[sortie.position].refused(Instant::now(), whole.inflated_len as usize);
    }
    if effect != Effect::Nothing {
        state.failed(sortie.position, sortie.trial);
    }
    drop(state);
    if !may_be_one {
        leases.iter_mut().for_each(Lease::was_not_tried);
    }
    effect
}
