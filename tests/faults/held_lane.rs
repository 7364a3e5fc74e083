//! Scenario: the first 300 batches of a lane are held back, and 100 000 later ones pass them (5 000 outside of a release run),
//! beside a queue where nothing is held.
//! Guarantee: they pass as fast as without the held ones, and the directory takes as little, but for the files that hold the 300.

use std::time::{Duration, Instant};

use spillway::batch::Signal;
use spillway::config::QueueSize;
use spillway::queue::Settlement;

use super::queues::{self, MIB, Place};

use crate::support::wait::{seconds, until};

const HELD: u64 = 300;
const BODY: usize = 16 << 10;
/// Appended and drained in one go: more than stays in memory, so that most of it comes from disk.
const STRETCH: u64 = 1000;

#[tokio::test(flavor = "multi_thread")]
async fn held_batches_hold_nothing_up() {
    let stretches = if queues::release() { 100 } else { 5 };
    let (plain, held) = (place(), place());
    queues::append(&held.queue, HELD, BODY, 32).await;
    for _ in 0..HELD {
        let lease = queues::next(&held.queue).await;
        held.queue.settle(lease, Settlement::Return { hold: Duration::from_secs(86_400) });
    }
    let (mut times, mut sizes) = ([Vec::new(), Vec::new()], [0, 0]);
    for _ in 0..stretches {
        for (which, place) in [&plain, &held].into_iter().enumerate() {
            let begun = Instant::now();
            queues::append(&place.queue, STRETCH, BODY, 32).await;
            queues::drain(&place.queue, STRETCH, |_| ()).await;
            times[which].push(begun.elapsed());
            sizes[which] = sizes[which].max(place.bytes());
        }
    }
    times.iter_mut().for_each(|times| times.sort());
    let [without, with] = times.map(|times| times[times.len() / 2]);
    eprintln!(
        "{STRETCH} batches: {without:?} without, {with:?} with {HELD} held; at most {} and {} MiB",
        sizes[0] / MIB,
        sizes[1] / MIB
    );
    assert!(with < 2 * without, "{with:?} for {STRETCH} batches, {without:?} where none is held");
    let pinned = HELD * BODY as u64 * 2;
    assert!(sizes[1] <= sizes[0] * 5 / 4 + pinned, "{sizes:?}");
    let queued = || held.queue.snapshot().signals[Signal::Logs.index()].books.queued_batches;
    until("what was settled is written", seconds(10), || queued() == HELD).await;
}

/// A queue whose quota is soon full if space does not come back.
fn place() -> Place {
    Place::new(|config| {
        config.max_size = QueueSize::Bytes(128 * MIB);
        config.memory_limit = Some(64 * MIB);
    })
}
