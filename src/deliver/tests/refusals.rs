//! Targets that find fault: with one batch, with everything, with the endpoint.

use std::sync::atomic::Ordering::SeqCst;

use super::scripted::{Reply, http};
use super::stage::{SECOND, STEP, Setting};
use crate::batch::Signal;
use crate::config::EndpointError;
use crate::otlp::answer::Answer;
use crate::queue::ledger::{DeadReason, DropReason};

/// A hub that answers one status to everything for minutes, though its probes are fine; then it is well again.
/// Guarantees that nothing is dead and nothing is lost, whatever the status (`no-verdict-without-witness`).
#[tokio::test(start_paused = true)]
async fn a_sick_hub_condemns_nothing() {
    let mut stage = Setting::new(&["hub"]).raise();
    stage.step = STEP * 5;
    let hub = stage.targets[0].clone();
    let mut sent = 0;
    for status in [401, 400, 404, 413, 500, 403] {
        hub.says_http(status);
        for signal in Signal::ALL {
            stage.append(signal, 20).await;
        }
        sent += 20;
        stage.pass(120 * SECOND).await;
        for signal in Signal::ALL {
            let books = stage.books(signal);
            assert_eq!((books.queued, books.dead_total(), books.dropped_total()), (sent, 0, 0), "{status}");
        }
    }
    hub.works();
    for signal in Signal::ALL {
        stage.drained(signal, 400 * SECOND).await;
        assert_eq!(stage.books(signal).delivered, sent);
    }
    stage.books_balance().await;
}

/// One bad batch among good ones, in each signal: refused, too large, an error of no listed class.
/// Guarantees that it is dead soon, with its reason, that it stalls nobody, and that no good one dies with it.
#[tokio::test(start_paused = true)]
async fn a_poison_batch_dies_alone() {
    for (status, reason) in [(400, DeadReason::Refused), (413, DeadReason::TooLarge), (500, DeadReason::Refused)] {
        let mut stage = Setting::new(&["hub"]).raise();
        let hub = stage.targets[0].clone();
        let poison = [11, 31, 51];
        hub.answers(move |number| Reply::Say(if poison.contains(&number) { http(status) } else { Answer::accepted() }));
        for signal in Signal::ALL {
            stage.append(signal, 20).await;
        }
        for signal in Signal::ALL {
            stage.until(3 * SECOND, "the good ones", |_| hub.taken(signal).len() == 19).await;
        }
        for _ in 0..20 {
            stage.append(Signal::Logs, 1).await;
            stage.pass(SECOND / 2).await;
        }
        for signal in Signal::ALL {
            stage.drained(signal, 10 * SECOND).await;
            assert_eq!(stage.books(signal).dead[reason as usize], 1, "{status} {signal}\n{}", stage.story());
        }
        assert_eq!(stage.snapshot().targets[0].breaker, crate::deliver::snapshot::BreakerState::Closed);
        stage.books_balance().await;
    }
}

/// A bad batch alone in the queue, at a hub whose empty requests succeed.
/// Guarantees that it is held for the patience of ten minutes, and dead after that.
#[tokio::test(start_paused = true)]
async fn a_lonely_poison_batch_dies_after_the_patience() {
    let mut stage = Setting::new(&["hub"]).raise();
    stage.step = SECOND / 10;
    let hub = stage.targets[0].clone();
    hub.says_http(400);
    stage.append(Signal::Logs, 1).await;
    stage.pass(599 * SECOND).await;
    assert_eq!((stage.books(Signal::Logs).queued, hub.empties.load(SeqCst)), (1, 0));
    stage.drained(Signal::Logs, 900 * SECOND).await;
    assert_eq!((stage.books(Signal::Logs).dead_total(), hub.empties.load(SeqCst)), (1, 1));
}

/// The dead letters are full.
/// Guarantees that nothing more is condemned, and that it is all still there.
#[tokio::test(start_paused = true)]
async fn a_full_dead_letter_store_condemns_nothing() {
    let mut setting = Setting::new(&["hub"]);
    setting.queue.dead_letters.max_size = 0;
    let mut stage = setting.raise();
    let hub = stage.targets[0].clone();
    hub.answers(|number| Reply::Say(if number == 1 { http(400) } else { Answer::accepted() }));
    stage.append(Signal::Logs, 1).await;
    for _ in 0..30 {
        stage.append(Signal::Logs, 1).await;
        stage.pass(SECOND).await;
    }
    stage.books_show(Signal::Logs, "the poison batch is kept", |books| books.queued == 1).await;
    assert_eq!(stage.books(Signal::Logs).dead_total(), 0);
}

/// A wrong endpoint where the configuration asks for dead letters or for drops; a target by the letter of the specification.
/// Guarantees that what is removed is counted under its reason, and that each attempt removes one batch only.
#[tokio::test(start_paused = true)]
async fn what_the_configuration_gives_up_is_counted() {
    for (on_endpoint_error, strict_otlp) in
        [(EndpointError::Dead, false), (EndpointError::Drop, false), (EndpointError::Hold, true)]
    {
        let mut setting = Setting::new(&["hub"]);
        setting.targets[0].0.on_endpoint_error = on_endpoint_error;
        setting.targets[0].0.strict_otlp = strict_otlp;
        let mut stage = setting.raise();
        let hub = stage.targets[0].clone();
        hub.says_http(401);
        stage.append(Signal::Logs, 10).await;
        stage.pass(3 * SECOND).await;
        let tried = hub.arrivals(Signal::Logs).len() as u64;
        assert!((2..=6).contains(&tried), "{}", stage.story());
        stage
            .books_show(Signal::Logs, "each attempt removes one", |books| {
                let removed = match (on_endpoint_error, strict_otlp) {
                    (EndpointError::Dead, _) => books.dead[DeadReason::EndpointError as usize],
                    (_, true) => books.dropped[DropReason::StrictOtlp as usize],
                    _ => books.dropped[DropReason::EndpointError as usize],
                };
                removed == tried && books.queued == 10 - tried
            })
            .await;
        hub.works();
        stage.drained(Signal::Logs, 60 * SECOND).await;
        stage.books_balance().await;
    }
}

/// A hub that takes a request and refuses some of its items.
/// Guarantees that the batch is settled, the items counted as rejected, and nothing sent again.
#[tokio::test(start_paused = true)]
async fn a_partial_success_is_final() {
    let mut stage = Setting::new(&["hub"]).raise();
    let hub = stage.targets[0].clone();
    hub.answers(|_| Reply::Say(Answer::Accepted { rejected: 1, message: "bad".to_owned() }));
    stage.append(Signal::Logs, 5).await;
    stage.drained(Signal::Logs, 5 * SECOND).await;
    assert_eq!((stage.books(Signal::Logs).rejected, hub.arrivals(Signal::Logs).len()), (5, 5));
    assert_eq!(stage.snapshot().targets[0].rejected[Signal::Logs.index()], 5);
}

/// A hub comes back after an outage, and the batch at the front of the queue is one that it refuses.
/// Guarantees that its breaker closes all the same, one open time later: a trial that failed is not made with the same batch while
/// there is another.
#[tokio::test(start_paused = true)]
async fn a_poison_batch_does_not_keep_a_breaker_open() {
    for signal in [Signal::Logs, Signal::Metrics] {
        let mut stage = Setting::new(&["hub"]).raise();
        let hub = stage.targets[0].clone();
        hub.dies();
        stage.append(signal, 10).await;
        stage.pass(20 * SECOND).await;
        hub.answers(|number| Reply::Say(if number == 1 { http(400) } else { Answer::accepted() }));
        hub.set_health(crate::target::Health::Up);
        stage.drained(signal, 60 * SECOND).await;
        assert_eq!((stage.books(signal).delivered, stage.books(signal).dead_total()), (9, 1), "{}", stage.story());
    }
}
