//! Requests that are too large for a target.

use super::requests::{numbers, request};
use super::stage::{SECOND, STEP, Setting, Stage};
use crate::batch::{Encoding, Signal};
use crate::queue::ledger::DeadReason;

const KIB: usize = 1 << 10;

async fn append(stage: &Stage, signal: Signal, encoding: Encoding, first: u64, sizes: &[usize]) {
    stage.queue.append(request(signal, encoding, first, sizes)).await.unwrap();
}

fn taken(stage: &Stage, signal: Signal) -> Vec<u64> {
    stage.targets[0].batches(signal).iter().flat_map(numbers).collect()
}

fn refused(stage: &Stage, signal: Signal) -> usize {
    stage.targets[0].arrivals(signal).iter().filter(|arrival| !arrival.accepted).count()
}

/// A request of 1 MiB, and a small one behind it, to a hub that takes 200 KiB; then another of 1 MiB.
/// Guarantees that every item arrives once, metrics in order, in the encoding in which they came; that the first costs a
/// handful of refusals and the second none; and that the target's breaker hears nothing of it.
#[tokio::test(start_paused = true)]
async fn a_large_request_arrives_in_parts() {
    for (signal, encoding) in [(Signal::Logs, Encoding::Gzip), (Signal::Metrics, Encoding::Identity)] {
        let stage = Setting::new(&["hub"]).raise();
        stage.targets[0].takes_at_most(200 * KIB);
        append(&stage, signal, encoding, 0, &[KIB; 1000]).await;
        append(&stage, signal, encoding, 1000, &[10; 10]).await;
        stage.drained(signal, 200 * SECOND).await;
        let learned = refused(&stage, signal);
        assert!((1..=6).contains(&learned), "{learned}\n{}", stage.story());
        append(&stage, signal, encoding, 1010, &[KIB; 1000]).await;
        stage.drained(signal, 200 * SECOND).await;
        assert_eq!(refused(&stage, signal), learned, "{}", stage.story());
        let mut taken = taken(&stage, signal);
        if signal == Signal::Logs {
            taken.sort_unstable();
        }
        assert_eq!(taken, (0..2010).collect::<Vec<_>>());
        assert!(stage.targets[0].batches(signal).iter().all(|batch| batch.encoding == encoding));
        assert_eq!((stage.books(signal).delivered, stage.snapshot().targets[0].attempts[1].1), (2010, 0));
        stage.books_balance().await;
    }
}

/// One huge item among small ones, alone and in the middle of a request.
/// Guarantees that it alone is dead, as too large, and that everything else arrives.
#[tokio::test(start_paused = true)]
async fn a_single_item_that_is_too_large_dies_alone() {
    let stage = Setting::new(&["hub"]).raise();
    stage.targets[0].takes_at_most(100 * KIB);
    append(&stage, Signal::Logs, Encoding::Gzip, 0, &[300 * KIB]).await;
    append(&stage, Signal::Logs, Encoding::Gzip, 1, &[KIB, KIB, 300 * KIB, KIB]).await;
    for number in 5..25 {
        append(&stage, Signal::Logs, Encoding::Gzip, number, &[10]).await;
        stage.pass(SECOND / 2).await;
    }
    stage.drained(Signal::Logs, 60 * SECOND).await;
    let books = stage.books(Signal::Logs);
    assert_eq!((books.delivered, books.dead[DeadReason::TooLarge as usize], books.dead_total()), (23, 2, 2));
    stage.books_balance().await;
}

/// A hub that takes only a few hundred bytes, and one that finds everything too large, and is well later.
/// Guarantees that the first gets everything in small parts once others witness for it, and that the second condemns nothing, is
/// not sent single items, and gets large requests again soon after it is well.
#[tokio::test(start_paused = true)]
async fn a_tiny_limit_is_told_from_a_sick_hub() {
    let mut stage = Setting::new(&["hub"]).raise();
    stage.step = STEP * 5;
    stage.targets[0].takes_at_most(500);
    append(&stage, Signal::Logs, Encoding::Identity, 0, &[100; 20]).await;
    for number in 20..50 {
        append(&stage, Signal::Logs, Encoding::Identity, number, &[10]).await;
        stage.pass(SECOND).await;
    }
    stage.drained(Signal::Logs, 60 * SECOND).await;
    assert_eq!((stage.books(Signal::Logs).delivered, stage.books(Signal::Logs).dead_total()), (50, 0));

    stage.targets[0].takes_at_most(0);
    stage.targets[0].forget_arrivals();
    append(&stage, Signal::Logs, Encoding::Identity, 100, &[KIB; 1000]).await;
    append(&stage, Signal::Logs, Encoding::Identity, 1100, &[KIB; 10]).await;
    stage.pass(300 * SECOND).await;
    let least = stage.targets[0].arrivals(Signal::Logs).iter().map(|arrival| arrival.len).min();
    assert!(least > Some(10 * KIB), "{least:?}");
    assert_eq!(stage.books(Signal::Logs).dead_total(), 0);
    stage.targets[0].takes_at_most(usize::MAX);
    stage.drained(Signal::Logs, 400 * SECOND).await;
    assert_eq!(stage.books(Signal::Logs).delivered, 1060);
    stage.books_balance().await;
}
