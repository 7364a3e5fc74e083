//! How delivery ends.

use std::time::Duration;

use super::scripted::Reply;
use super::stage::{SECOND, Setting, Stage};
use crate::batch::Signal;
use crate::queue::Taker;

/// Stopped while requests hang at the hub, and while others are about to be answered.
/// Guarantees that stopping takes the given time at most, that what ends in time is settled, and that the rest is back in the queue.
#[tokio::test(start_paused = true)]
async fn stopping_is_bounded_and_loses_nothing() {
    let mut stage = Setting::new(&["hub"]).raise();
    let hub = stage.targets[0].clone();
    stage.append(Signal::Logs, 40).await;
    stage.drained(Signal::Logs, 10 * SECOND).await;
    hub.answers(|number| if number <= 41 { Reply::Say(crate::otlp::answer::Answer::accepted()) } else { Reply::Hang });
    hub.set_latency(SECOND / 2);
    stage.append(Signal::Logs, 3).await;
    stage.append(Signal::Metrics, 3).await;
    stage.until(SECOND, "under way", |_| hub.inside() >= 3).await;

    let start = tokio::time::Instant::now();
    {
        let mut stop = std::pin::pin!(stage.deliver.stop(2 * SECOND));
        while futures_util::FutureExt::now_or_never(stop.as_mut()).is_none() {
            stage.pass(SECOND / 10).await;
        }
    }
    assert!(start.elapsed() <= 2 * SECOND + SECOND / 5, "{:?}", start.elapsed());
    assert_eq!(hub.inside(), 0);
    stage.books_show(Signal::Logs, "what ended in time is settled", |books| books.delivered >= 40).await;
    let leased = |stage: &Stage| stage.queue.snapshot().signals.iter().map(|depth| depth.leased_batches).sum::<u64>();
    stage.books_show(Signal::Logs, "nothing stays leased", |_| leased(&stage) == 0).await;
    assert!(stage.queue.pending(Signal::Metrics, Taker::Primary).backlog);

    let before = hub.arrivals(Signal::Logs).len();
    stage.append(Signal::Logs, 5).await;
    stage.pass(60 * SECOND).await;
    assert_eq!(hub.arrivals(Signal::Logs).len(), before, "no new leases");
    stage.books_balance().await;
}

/// Stopped in peace, and stopped twice.
/// Guarantees that it ends at once, and that probes end with it.
#[tokio::test(start_paused = true)]
async fn stopping_in_peace_is_immediate() {
    let stage = Setting::new(&["hub", "direct"]).raise();
    stage.pass(SECOND).await;
    let start = tokio::time::Instant::now();
    stage.deliver.stop(Duration::from_secs(20)).await;
    stage.deliver.stop(Duration::from_secs(20)).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    let probes =
        || stage.targets.iter().map(|target| target.probes.load(std::sync::atomic::Ordering::SeqCst)).sum::<usize>();
    let before = probes();
    stage.pass(60 * SECOND).await;
    assert_eq!(probes(), before);
}
