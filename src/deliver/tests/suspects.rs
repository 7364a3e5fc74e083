//! Batches that fail again and again without a verdict.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::scripted::{Reply, http};
use super::stage::{SECOND, STEP, Setting};
use crate::batch::Signal;
use crate::deliver::snapshot::BreakerState;
use crate::otlp::answer::Answer;
use crate::queue::ledger::DeadReason;
use crate::target::Health;

/// In each signal one batch that always times out, among others, at a hub that has a fallback.
/// Guarantees that it stalls nobody: the others arrive within a minute, nothing fails over, the breaker stays closed; that it is
/// tried at most once a minute then, and is a dead letter in the end with the whole story in the books.
#[tokio::test(start_paused = true)]
async fn a_batch_that_always_times_out_stalls_nobody() {
    for signal in [Signal::Logs, Signal::Metrics] {
        let mut stage = Setting::new(&["hub", "fallback"]).raise();
        let hub = stage.targets[0].clone();
        hub.answers(|number| if number == 5 { Reply::Hang } else { Reply::Say(Answer::accepted()) });
        stage.append(signal, 20).await;
        stage.step = STEP * 5;
        stage.until(60 * SECOND, "the others", |_| hub.taken(signal).len() == 19).await;
        // The others come one a second from here on.
        let mut sent = 20;
        while stage.books(signal).dead_total() == 0 {
            assert!(sent < 500, "{}", stage.story());
            stage.append(signal, 1).await;
            stage.pass(SECOND).await;
            sent += 1;
            assert!(hub.taken(signal).len() >= sent - 12, "{sent}: {}", stage.story());
            assert_eq!(
                (stage.active(signal).as_str(), stage.snapshot().targets[0].breaker),
                ("hub", BreakerState::Closed)
            );
        }
        let tries: Vec<_> = hub.arrivals(signal).into_iter().filter(|arrival| arrival.number == 5).collect();
        assert!((6..=8).contains(&tries.len()), "{}", tries.len());
        let alone = &tries[tries.len() - 3..];
        assert!(alone.windows(2).all(|pair| pair[1].at - pair[0].at >= 60 * SECOND), "{alone:?}");
        stage.drained(signal, 30 * SECOND).await;
        let books = stage.books(signal);
        assert_eq!((books.delivered, books.dead[DeadReason::Suspect as usize]), (sent as u64 - 1, 1));
        stage.books_balance().await;
    }
}

/// A hub comes back after an outage, and never answers the two oldest batches.
/// Guarantees that they keep its breaker from closing for minutes at most, and all others arrive.
#[tokio::test(start_paused = true)]
async fn two_batches_that_always_hang_keep_no_breaker_open() {
    for (signal, within) in [(Signal::Logs, 120 * SECOND), (Signal::Metrics, 900 * SECOND)] {
        let mut stage = Setting::new(&["hub"]).raise();
        let hub = stage.targets[0].clone();
        hub.dies();
        stage.append(signal, 20).await;
        stage.step = STEP * 10;
        stage.pass(20 * SECOND).await;
        hub.answers(|number| if number <= 2 { Reply::Hang } else { Reply::Say(Answer::accepted()) });
        hub.set_health(Health::Up);
        stage.until(within, "the others", |_| hub.taken(signal).len() == 18).await;
    }
}

/// A batch that hangs until it is parked, and is taken when it is tried alone.
/// Guarantees that it is delivered.
#[tokio::test(start_paused = true)]
async fn a_parked_batch_is_delivered_when_the_target_takes_it() {
    let mut stage = Setting::new(&["hub"]).raise();
    stage.step = STEP * 5;
    let hub = stage.targets[0].clone();
    hub.answers(|number| if number == 1 { Reply::Hang } else { Reply::Say(Answer::accepted()) });
    stage.append(Signal::Logs, 1).await;
    while stage.books(Signal::Logs).parked == 0 {
        stage.append(Signal::Logs, 1).await;
        stage.pass(SECOND).await;
        assert!(stage.now() < 120 * SECOND, "{}", stage.story());
    }
    hub.works();
    stage.until(70 * SECOND, "it is tried alone", |_| hub.taken(Signal::Logs).contains(&1)).await;
    stage.pass(SECOND).await;
    stage.books_show(Signal::Logs, "it is delivered", |books| books.queued == 0 && books.dead_total() == 0).await;
    stage.books_balance().await;
}

/// A hub behind a proxy with one dead instance of two: every other request is answered with 504, for twenty minutes.
/// Guarantees that nothing is condemned, and that all of it arrives.
#[tokio::test(start_paused = true)]
async fn a_hub_that_fails_every_other_time_condemns_nothing() {
    let mut stage = Setting::new(&["hub"]).raise();
    let hub = stage.targets[0].clone();
    let requests = AtomicU64::new(0);
    // A pattern that no batch keeps step with.
    let fails = move || (requests.fetch_add(1, SeqCst).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40).is_multiple_of(2);
    hub.answers(move |_| Reply::Say(if fails() { http(504) } else { Answer::accepted() }));
    stage.step = SECOND / 2;
    for _ in 0..300 {
        stage.append(Signal::Logs, 2).await;
        stage.pass(4 * SECOND).await;
    }
    let books = stage.books(Signal::Logs);
    assert_eq!(books.dead_total(), 0, "{books:?}");
    hub.works();
    stage.drained(Signal::Logs, 3600 * SECOND).await;
    assert_eq!(stage.books(Signal::Logs).delivered, 600);
    stage.books_balance().await;
}
