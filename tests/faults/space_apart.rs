//! Scenario: a backlog of 1 GiB (512 MiB outside of a release run) is parked and, the queue opened anew, purged; another is
//! condemned, and its dead letters are purged.
//! Guarantee: the space of batches that lie apart goes back to the file system like that of those in line: in the end the
//! directory takes at most 400 MiB, logs mostly.

use spillway::batch::{Key, Signal};
use spillway::config::QueueSize;
use spillway::queue::ledger::{DeadReason, DropReason};
use spillway::queue::{Settlement, Verdict};

use super::queues::{self, MIB, Place};
use crate::support::wait::{seconds, until};

const BODY: usize = 128 << 10;
const SIGNAL: Signal = Signal::Logs;
const LEFT: u64 = 400 * MIB;

fn place() -> (Place, u64) {
    let count = if queues::release() { 1024 * MIB } else { 512 * MIB } / BODY as u64;
    let place = Place::new(|config| {
        config.max_size = QueueSize::Bytes(8 << 30);
        config.dead_letters.max_size = 4 << 30;
    });
    (place, count)
}

fn verdict() -> Verdict {
    Verdict {
        reason: DeadReason::Refused,
        target: "hub".to_owned(),
        status: "HTTP 400".to_owned(),
        message: "no".to_owned(),
        attempts: 1,
        first_ms: 1,
        last_ms: 1,
    }
}

/// Waits until the space is back.
async fn until_back(place: &Place, what: &str) {
    let before = place.bytes() / MIB;
    until(what, seconds(60), || place.bytes() <= LEFT).await;
    eprintln!("{what}: {before} MiB, then {}", place.bytes() / MIB);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_space_of_parked_batches_comes_back() {
    let (mut place, count) = place();
    queues::append(&place.queue, count, BODY, 32).await;
    for _ in 0..count {
        let lease = queues::next(&place.queue).await;
        place.queue.settle(lease, Settlement::Park(verdict()));
    }
    let books = |place: &Place| place.queue.snapshot().signals[SIGNAL.index()].books;
    until("all are parked", seconds(60), || books(&place).parked_batches == count).await;
    place.reopen().await;
    place.queue.drop_below(SIGNAL, Key::new(u64::MAX), DropReason::Purged).await.unwrap();
    assert_eq!(books(&place).queued, 0);
    until_back(&place, "parked batches are purged").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_space_of_dead_letters_comes_back() {
    let (mut place, count) = place();
    queues::append(&place.queue, count, BODY, 32).await;
    for _ in 0..count {
        let lease = queues::next(&place.queue).await;
        place.queue.settle(lease, Settlement::Dead(verdict()));
    }
    let dead = |place: &Place| place.queue.snapshot().dead_letters.0;
    until("all are condemned", seconds(60), || dead(&place) == count).await;
    place.reopen().await;
    let mut from = Key::new(0);
    loop {
        let page = place.queue.letters(SIGNAL, from).await.unwrap();
        let letters = page.found.iter().map(|letter| (letter.signal, letter.key)).collect();
        place.queue.purge_dead(letters).await.unwrap();
        let Some(next) = page.next else { break };
        from = next;
    }
    assert_eq!(dead(&place), 0);
    until_back(&place, "dead letters are purged").await;
}
