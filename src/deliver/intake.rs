//! The task that measures how many bytes come in, from which `replay.rate: auto` takes its rate.
//!
//! The queue tells what is queued and the lines tell what left; the difference came in.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::gate::Gate;
use super::line::Line;
use super::step::Stop;

/// Time between two looks: often enough for a mean over minutes, rare enough to cost nothing.
const EVERY: Duration = Duration::from_secs(10);

/// Measures until it is stopped.
pub async fn run(lines: Vec<Arc<Line>>, gates: Vec<Arc<Gate>>, mut stop: Stop) {
    let Some(queue) = lines.first().map(|line| line.queue.clone()) else { return };
    let total = || {
        let queued: u64 = queue.snapshot().signals.iter().map(|depth| depth.books.queued_bytes).sum();
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
        gates.iter().for_each(|gate| gate.took_in(now, after.saturating_sub(before)));
        before = after;
    }
}
