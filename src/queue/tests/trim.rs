//! What is removed by itself: for its age, and for want of space.

use std::time::Duration;

use super::support::*;
use crate::batch::{Batch, Key, Signal};
use crate::config::{QueueConfig, QueueSize, WhenFull};
use crate::queue::clock::testing::Hands;
use crate::queue::ledger::{DeadReason, DropReason, Ledger};
use crate::queue::snapshot::StoreState;
use crate::queue::{AppendError, Lane, Queue, Settlement, Taker};

const MIB: usize = 1 << 20;
const HOUR: u64 = 3_600_000;
const YEAR: i64 = 365 * 24 * 3_600_000;

fn books(queue: &Queue, signal: Signal) -> Ledger {
    queue.snapshot().signals[signal.index()].books
}

/// Has the keeping thread look now rather than within a second.
async fn look(queue: &Queue, what: &str, holds: impl Fn() -> bool) {
    queue.shared.pulse.hurry();
    until(what, holds).await;
}

/// Waits until the keeping thread has looked twice: the second look began after this was called.
async fn looked(queue: &Queue) {
    for _ in 0..2 {
        queue.shared.pulse.hurry();
        until("it is looked at", || queue.shared.pulse.is_resting()).await;
    }
}

/// Scenario: batches of several ages, of which some are leased and one is owed, reach `max_age`, which differs for a signal.
/// Guarantee: those that are too old go, whatever they are doing, counted, the owed one as delivered; the others stay.
#[tokio::test]
async fn what_is_too_old_goes() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = QueueConfig { max_age: Duration::from_secs(3600), ..config(directory.path()) };
    config.signals[Signal::Traces.index()].max_age = Some(Duration::ZERO);
    let hands = Hands::at(1_800_000_000_000);
    let queue = timed(&config, &hands);
    for name in ["1", "2", "3"] {
        queue.append(named(Signal::Logs, name)).await.unwrap();
        queue.append(named(Signal::Traces, name)).await.unwrap();
    }
    let owed = queue.lease(Signal::Logs, Lane::Fresh, Taker::Fallback).await.unwrap();
    queue.settle(owed, Settlement::Owed);
    let leased = queue.lease(Signal::Logs, Lane::Fresh, Taker::Primary).await.unwrap();
    settled(&queue).await;
    hands.pass(HOUR / 2);
    queue.append(named(Signal::Logs, "4")).await.unwrap();
    hands.pass(HOUR / 2);
    look(&queue, "nothing is older than an hour, yet", || books(&queue, Signal::Logs).queued_batches == 4).await;
    hands.pass(1);
    look(&queue, "three are too old", || books(&queue, Signal::Logs).queued_batches == 1).await;
    queue.settle(leased, delivered());
    settled(&queue).await;
    let logs = books(&queue, Signal::Logs);
    assert_eq!((logs.dropped[DropReason::MaxAge as usize], logs.delivered, logs.owed_released), (2, 1, 1));
    assert_eq!((queue.snapshot().late_settles, logs.low), (1, 4));
    assert_eq!(books(&queue, Signal::Traces).queued_batches, 3, "0 is for ever");
    assert_eq!(next(&queue, Signal::Logs, Lane::Fresh).await.unwrap().1, "4");
    assert_books(&queue).await;
    queue.close().await;
}

/// Scenario: the system's clock is set by an hour and by a year, forth and back, over a batch that is half an hour old; later
/// the queue is closed, and opened with the clock still wrong. Guarantee: it is said, nothing at all is removed during the
/// next hour, and after that what is too old by the queue's own clock.
#[tokio::test]
async fn a_clock_that_is_set_removes_nothing() {
    for step in [HOUR.cast_signed(), -HOUR.cast_signed(), YEAR, -YEAR] {
        let directory = tempfile::tempdir().unwrap();
        let config = QueueConfig { max_age: Duration::from_secs(3600), ..config(directory.path()) };
        let hands = Hands::at(1_800_000_000_000);
        let queue = timed(&config, &hands);
        queue.append(named(Signal::Logs, "1")).await.unwrap();
        hands.pass(HOUR / 2);
        hands.set_by(step);
        look(&queue, "it is said", || queue.snapshot().clock_step_ms == Some(step)).await;
        hands.pass(HOUR / 2 + 1);
        queue.append(named(Signal::Logs, "2")).await.unwrap();
        looked(&queue).await;
        assert_eq!(books(&queue, Signal::Logs).queued_batches, 2, "one is too old, but somebody set the clock: {step}");
        hands.pass(HOUR / 2);
        look(&queue, "one is too old", || books(&queue, Signal::Logs).queued_batches == 1).await;
        assert_eq!(queue.snapshot().clock_step_ms, None);
        queue.close().await;
        let queue = timed(&config, &hands);
        hands.pass(HOUR / 2);
        looked(&queue).await;
        assert_eq!(books(&queue, Signal::Logs).queued_batches, 1, "{step}");
        hands.pass(1);
        look(&queue, "both are too old", || books(&queue, Signal::Logs).queued_batches == 0).await;
        assert_eq!(books(&queue, Signal::Logs).dropped[DropReason::MaxAge as usize], 2);
        assert_books(&queue).await;
        queue.close().await;
    }
}

/// Scenario: a suspect, the parts of a split and a batch behind them grow old; the suspect is on a lease once more.
/// Guarantee: they age from when the whole was taken, go together, and the books balance with what is parked, also after a
/// kill.
#[tokio::test]
async fn parts_and_suspects_age_with_what_they_were() {
    let directory = tempfile::tempdir().unwrap();
    let config = QueueConfig { max_age: Duration::from_secs(3600), ..config(directory.path()) };
    let hands = Hands::at(1_800_000_000_000);
    let queue = timed(&config, &hands);
    for name in ["suspect", "whole", "old"] {
        queue.append(Batch { items: 2, ..named(Signal::Logs, name) }).await.unwrap();
    }
    hands.pass(HOUR / 2);
    let (suspect, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    let (whole, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    queue.settle(suspect, Settlement::Park(verdict(DeadReason::Suspect)));
    queue.settle(whole, Settlement::Split(vec![named(Signal::Logs, "a"), named(Signal::Logs, "b")]));
    settled(&queue).await;
    let suspect = queue.lease_parked(Signal::Logs, Taker::Primary).await.unwrap();
    queue.append(named(Signal::Logs, "young")).await.unwrap();
    hands.pass(HOUR / 2 + 1);
    look(&queue, "all but one are too old", || books(&queue, Signal::Logs).queued_batches == 1).await;
    queue.settle(suspect, delivered());
    settled(&queue).await;
    let logs = books(&queue, Signal::Logs);
    assert_eq!((logs.dropped[DropReason::MaxAge as usize], logs.parked, logs.parked_bytes), (6, 0, 0));
    assert_eq!((logs.delivered, queue.snapshot().late_settles), (0, 1));
    assert_books(&queue).await;
    kill(queue).await;
    let queue = timed(&config, &hands);
    assert_books(&queue).await;
    assert!(queue.lease_parked(Signal::Logs, Taker::Primary).await.is_none());
    assert_eq!(next(&queue, Signal::Logs, Lane::Backlog).await.unwrap().1, "young");
    queue.close().await;
}

/// Scenario: dead letters, more than one look takes, grow older than they may, and one comes later. Guarantee: the old ones go,
/// counted, the young one stays, and all of them stay counted as dead.
#[tokio::test]
async fn dead_letters_go_when_they_are_too_old() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.dead_letters.max_age = Duration::from_secs(86_400);
    let hands = Hands::at(1_800_000_000_000);
    let queue = timed(&config, &hands);
    for number in 0..101 {
        queue.append(named(Signal::Logs, "x")).await.unwrap();
        let (lease, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
        if number == 100 {
            settled(&queue).await;
            hands.pass(HOUR);
        }
        queue.settle(lease, Settlement::Dead(verdict(DeadReason::Suspect)));
    }
    settled(&queue).await;
    hands.pass(23 * HOUR);
    looked(&queue).await;
    assert_eq!(queue.snapshot().dead_letters.0, 101, "none is older than a day");
    hands.pass(HOUR);
    until("the old ones are removed", || {
        queue.shared.pulse.hurry();
        queue.snapshot().dead_letters.0 == 1
    })
    .await;
    looked(&queue).await;
    let snapshot = queue.snapshot();
    assert_eq!((snapshot.dead_letters.0, snapshot.dead_letters_expired), (1, 100));
    assert_eq!(books(&queue, Signal::Logs).dead_total(), 101);
    assert_books(&queue).await;
    queue.close().await;
}

async fn fill(queue: &Queue, signal: Signal, mib: usize) -> Result<(), AppendError> {
    for _ in 0..mib {
        queue.append(batch(signal, MIB)).await?;
    }
    Ok(())
}

/// Appends for as long as it takes; a refusal is waited out.
async fn press(queue: &Queue, signal: Signal, mib: usize) {
    for _ in 0..mib {
        until("it is taken again", || queue.admits(signal).is_ok()).await;
        while queue.append(batch(signal, MIB)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Scenario: three times the quota of logs arrives during an outage, with `drop_oldest` for logs, over some traces without
/// it. Guarantee: all of it is taken, the oldest logs go, counted as such, the newest stay, and no traces are touched; it is
/// so after a kill.
#[tokio::test]
async fn a_full_queue_drops_the_oldest_where_it_may() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = QueueConfig { max_size: QueueSize::Bytes(48 << 20), ..config(directory.path()) };
    config.signals[Signal::Logs.index()].when_full = Some(WhenFull::DropOldest);
    let queue = Queue::open(&config).unwrap();
    fill(&queue, Signal::Traces, 4).await.unwrap();
    press(&queue, Signal::Logs, 144).await;
    let last = queue.append(named(Signal::Logs, "last")).await.unwrap();
    let logs = books(&queue, Signal::Logs);
    let dropped = logs.dropped[DropReason::QueueFull as usize];
    assert!(dropped >= 96 && dropped == logs.dropped_total(), "{dropped} of 144 went");
    assert!(logs.queued_batches >= 12, "only {} are left", logs.queued_batches);
    assert_eq!(books(&queue, Signal::Traces).queued_batches, 4);
    assert_books(&queue).await;
    kill(queue).await;
    let queue = reopened(&config);
    assert_books(&queue).await;
    let mut seen = (Key::new(0), 0);
    while let Some(lease) = queue.lease(Signal::Logs, Lane::Backlog, Taker::Primary).await {
        seen = (lease.id.key, seen.1 + 1);
        queue.settle(lease, delivered());
    }
    assert_eq!(seen, (last, logs.queued_batches));
    queue.close().await;
}

/// Scenario: what a fallback took and still owes fills the queue. Guarantee: new batches are taken without a refusal for as
/// long as something owed can go, it is counted, and nothing is dropped.
#[tokio::test]
async fn owed_data_never_makes_the_queue_refuse() {
    let directory = tempfile::tempdir().unwrap();
    let config = QueueConfig { max_size: QueueSize::Bytes(48 << 20), ..config(directory.path()) };
    let queue = Queue::open(&config).unwrap();
    for _ in 0..120 {
        until("it is taken", || queue.admits(Signal::Logs).is_ok()).await;
        queue.append(batch(Signal::Logs, MIB)).await.unwrap();
        let lease = queue.lease(Signal::Logs, Lane::Fresh, Taker::Fallback).await.unwrap();
        queue.settle(lease, Settlement::Owed);
        settled(&queue).await;
        if queue.shared.space.is_pressed() {
            look(&queue, "room is made", || !queue.shared.space.is_pressed()).await;
        }
        assert_eq!(queue.snapshot().state, StoreState::Open);
    }
    let logs = books(&queue, Signal::Logs);
    assert_eq!((logs.dropped_total(), logs.owed, logs.owed_released), (0, logs.queued, logs.delivered));
    assert!(logs.owed_released >= 72, "{} were released", logs.owed_released);
    assert_books(&queue).await;
    kill(queue).await;
    let queue = reopened(&config);
    assert_books(&queue).await;
    let mut paid = 0;
    while let Some(lease) = queue.lease(Signal::Logs, Lane::Backlog, Taker::Primary).await {
        assert!(lease.owed);
        queue.settle(lease, delivered());
        paid += 1;
    }
    assert_eq!(paid, logs.owed);
    queue.close().await;
}

/// Scenario: what fills the queue is owed, and parked as suspects of the primary. Guarantee: the oldest of it is released, counted,
/// before anything is refused or dropped, also while one is tried alone; it is so after a kill.
#[tokio::test]
async fn parked_debts_are_released_too() {
    let directory = tempfile::tempdir().unwrap();
    let config = QueueConfig { max_size: QueueSize::Bytes(48 << 20), ..config(directory.path()) };
    let queue = Queue::open(&config).unwrap();
    queue.append(named(Signal::Logs, "a suspect that nobody has")).await.unwrap();
    let (lease, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    queue.settle(lease, Settlement::Park(verdict(DeadReason::Suspect)));
    let mut parked = 0;
    while books(&queue, Signal::Logs).owed_released == 0 && parked < 90 {
        if queue.append(batch(Signal::Logs, MIB)).await.is_err() {
            break; // a machine so busy that nothing could be released yet
        }
        let lease = queue.lease(Signal::Logs, Lane::Fresh, Taker::Fallback).await.unwrap();
        queue.settle(lease, Settlement::Owed);
        settled(&queue).await;
        let lease = queue.lease(Signal::Logs, Lane::Backlog, Taker::Primary).await.unwrap();
        queue.settle(lease, Settlement::Park(verdict(DeadReason::Suspect)));
        settled(&queue).await;
        parked += 1;
    }
    let first = queue.lease_parked(Signal::Logs, Taker::Primary).await.unwrap();
    queue.settle(first, Settlement::Return { hold: Duration::ZERO });
    let tried = queue.lease_parked(Signal::Logs, Taker::Primary).await.unwrap();
    assert!(tried.owed);
    look(&queue, "some are released", || books(&queue, Signal::Logs).owed_released > 0).await;
    drop(tried);
    kill(queue).await;
    let queue = reopened(&config);
    assert_books(&queue).await;
    let logs = books(&queue, Signal::Logs);
    assert_eq!((logs.dropped_total(), logs.owed + 1, logs.delivered), (0, logs.parked, logs.owed_released));
    assert_eq!(logs.accepted, logs.parked + logs.owed_released);
    let mut seen = Vec::new();
    while let Some(lease) = queue.lease_parked(Signal::Logs, Taker::Primary).await {
        seen.push(lease.id.key.seq);
        queue.settle(lease, delivered());
        settled(&queue).await;
    }
    seen.sort_unstable();
    let stay = logs.owed_released + 2..=parked + 1;
    assert_eq!(seen, [1].into_iter().chain(stay).collect::<Vec<_>>(), "the oldest go");
    queue.close().await;
}
