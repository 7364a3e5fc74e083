//! One parked batch, tried by itself: it takes nobody's place in line and feeds no breaker.
//!
//! Taken, it is delivered like any other. It dies only by a verdict of the target (`witness`), or when it failed alone while
//! everything in line was taken (`suspects`).

use std::time::Duration;

use tokio::time::Instant;

use super::gate::Pass;
use super::judge::{self, Case, judge};
use super::line::Line;
use super::request::{Effect, Report};
use super::suspects::{Suspicion, TRIED_EVERY};
use super::timeline::now_ms;
use crate::otlp::class::{self, Class};
use crate::queue::Settlement;
use crate::target::Shipment;

/// The next one is tried so long after one that was taken: they were parked for their target's sake, perhaps.
const AFTER_SUCCESS: Duration = Duration::from_secs(1);

/// Leases the parked batch that was left alone for longest, sends it, settles it.
pub async fn alone(line: &Line, pass: Pass, position: usize) {
    let mut next = Next { line, after: TRIED_EVERY };
    let Some(lease) = line.queue.lease_parked(line.signal, line.taker(position)).await else { return };
    let shipment = Shipment { batch: lease.batch.clone(), id: lease.id, along: Vec::new(), replay: true };
    let answer = pass.gate().target.send(&shipment).await;
    let class = judge::reclassify(&pass.gate().config, &answer, pass.classify(&answer));
    let (settlement, rejected) = {
        let room = !line.queue.dead_letters_full();
        let case = Case { room, at_ms: now_ms(), ..line.case(&pass, position, &lease) };
        let mut state = line.lock();
        let judgement = judge(Instant::now(), &case, &answer, class, &mut state.witnesses[position]);
        let settlement = match judgement.effect {
            Effect::Failure if judge::may_blame_batch(&answer) => {
                match state.suspects[position].failed_alone(case.key, Instant::now(), case.at_ms) {
                    Suspicion::Convict(past) if case.room => Settlement::Dead(judge::suspect(&case, &answer, past)),
                    _ => judgement.settlement,
                }
            }
            _ => judgement.settlement,
        };
        (settlement, judge::rejected(&answer, case.items))
    };
    if class == Class::Ok {
        next.after = AFTER_SUCCESS;
        let counts = &pass.gate().counts;
        counts.took(line.signal, lease.lane, lease.owed, lease.batch.items, rejected);
    }
    if !matches!(settlement, Settlement::Return { .. }) {
        line.settled_bytes.add(lease.weight() as u64);
        line.lock().forget(lease.id.key);
    }
    pass.report(&shipment, class, &answer, Report { effect: Effect::Nothing, delay: class::floor(&answer) });
    line.queue.settle(lease, settlement);
}

/// However a try ends, the next one is due in a while; unless nothing is parked any more.
struct Next<'a> {
    line: &'a Line,
    after: Duration,
}

impl Drop for Next<'_> {
    fn drop(&mut self) {
        let books = self.line.queue.snapshot().signals[self.line.signal.index()].books;
        let at = (books.parked_batches > 0).then(|| Instant::now() + self.after);
        let mut state = self.line.lock();
        state.try_parked_at = state.try_parked_at.or(at);
    }
}
