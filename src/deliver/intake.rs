//! The task that measures how many bytes come in, from which `replay.rate: auto` takes its rate, and fresh data that gathered its own.
//!
//! The queue tells what is queued and the lines tell what left; the difference came in.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Cast;
use super::step::Stop;

/// Time between two looks: often enough for a mean over seconds, rare enough to cost nothing.
const EVERY: Duration = Duration::from_secs(2);

/// Measures until it is stopped.
pub(super) async fn run(cast: Arc<Mutex<Cast>>, mut stop: Stop) {
    let look = || {
        let cast = cast.lock().unwrap_or_else(PoisonError::into_inner);
        (cast.lines.clone(), cast.gates.clone())
    };
    let total = || {
        let (lines, _) = look();
        let queued = |queue: &crate::queue::Queue| -> u64 {
            queue.snapshot().signals.iter().map(|depth| depth.books.queued_bytes).sum()
        };
        let queued = lines.first().map_or(0, |line| queued(&line.queue));
        queued + lines.iter().map(|line| line.settled_bytes.get()).sum::<u64>()
    };
    let mut before = total();
    while stop.borrow().is_none() {
        tokio::select! {
            () = sleep(EVERY) => {}
            stopped = stop.changed() => if stopped.is_err() { return } else { continue },
        }
        let after = total();
        let now = Instant::now();
        look().1.iter().for_each(|gate| gate.took_in(now, after.saturating_sub(before)));
        before = after;
    }
}
