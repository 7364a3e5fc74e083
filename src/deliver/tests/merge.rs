//! Small requests that go out together.

use super::requests::{numbers, request};
use super::scripted::{Reply, http};
use super::stage::{SECOND, Setting, Stage};
use crate::batch::{Batch, Encoding, Signal};
use crate::config::TargetKind;
use crate::otlp::answer::{Answer, Break};
use crate::queue::ledger::DeadReason;

/// The one that a hub finds fault with.
const BAD: u64 = 57;

/// Two signals, one in strict order, one not.
const SIGNALS: [Signal; 2] = [Signal::Logs, Signal::Metrics];

/// Queues requests of one item each, compressed and plain in turn, numbered from `first` on.
async fn append(stage: &Stage, signal: Signal, first: u64, count: u64) {
    for number in first..first + count {
        let encoding = if number % 2 == 0 { Encoding::Gzip } else { Encoding::Identity };
        stage.queue.append(request(signal, encoding, number, &[50])).await.unwrap();
    }
}

/// As many, queued while the hub is away for some seconds.
async fn behind_an_outage(setting: Setting, signal: Signal, count: u64) -> Stage {
    let stage = setting.merging().raise();
    stage.targets[0].dies();
    append(&stage, signal, 0, count).await;
    stage.pass(4 * SECOND).await;
    stage.targets[0].forget_arrivals(); // some of what was tried then was merged, perhaps
    stage
}

/// Numbers of the items that the target took, in order, however they came.
fn taken(stage: &Stage, target: usize, signal: Signal) -> Vec<u64> {
    stage.targets[target].batches(signal).iter().flat_map(numbers).collect()
}

fn is_each_once(stage: &Stage, target: usize, signal: Signal, of: impl IntoIterator<Item = u64>) {
    let mut taken = taken(stage, target, signal);
    if signal == Signal::Logs {
        taken.sort_unstable();
    }
    assert_eq!(taken, of.into_iter().collect::<Vec<_>>(), "{}", stage.story());
}

/// Requests that came in merged.
fn merged(stage: &Stage, signal: Signal) -> usize {
    stage.targets[0].arrivals(signal).iter().filter(|arrival| arrival.along > 0).count()
}

fn with(number: u64, reply: Reply) -> impl Fn(&Batch) -> Reply + Send {
    move |batch| if numbers(batch).contains(&number) { reply.clone() } else { Reply::Say(Answer::accepted()) }
}

/// Three hundred small requests that gathered in an outage, and one that comes alone afterwards.
/// Guarantees that every item arrives once, metrics in order and one request at a time, in a few requests; and that the one alone
/// goes out as it came.
#[tokio::test(start_paused = true)]
async fn what_gathered_arrives_in_a_few_requests() {
    for signal in SIGNALS {
        let stage = behind_an_outage(Setting::new(&["hub"]), signal, 300).await;
        stage.targets[0].works();
        stage.drained(signal, 300 * SECOND).await;
        is_each_once(&stage, 0, signal, 0..300);
        let arrivals = stage.targets[0].arrivals(signal);
        assert!(arrivals.len() <= 30, "{} requests\n{}", arrivals.len(), stage.story());
        assert!(signal == Signal::Logs || stage.targets[0].most_inside() == 1);
        assert!(stage.snapshot().chains[signal.index()].merged_batches >= 270);
        let alone = request(signal, Encoding::Gzip, 1000, &[50]);
        stage.queue.append(alone.clone()).await.unwrap();
        stage.drained(signal, 10 * SECOND).await;
        assert_eq!(stage.targets[0].batches(signal).last(), Some(&alone));
        assert_eq!(stage.books(signal).delivered, 301);
        stage.books_balance().await;
    }
}

/// Small requests, some of them compressed and some not, or none, at a hub that lists zstd and at one that does not.
/// Guarantees that they go together in zstd where the hub takes that, in gzip where it does not, and plain if all of them are.
#[tokio::test(start_paused = true)]
async fn what_goes_together_is_packed_as_the_target_takes_it() {
    let (gzip, zstd) = (Encoding::Gzip, Encoding::Zstd);
    for (sent, accepts, packed) in [
        (gzip, vec![gzip, zstd], zstd),
        (zstd, vec![gzip, zstd], zstd),
        (gzip, vec![gzip], gzip),
        (Encoding::Identity, vec![gzip, zstd], Encoding::Identity),
    ] {
        let mut setting = Setting::new(&["hub"]);
        let TargetKind::Network(network) = &mut setting.targets[0].0.kind else { panic!("a network target") };
        network.accepts = accepts;
        let stage = setting.merging().raise();
        stage.targets[0].dies();
        for number in 0..60 {
            let encoding = if number % 2 == 0 { sent } else { Encoding::Identity };
            stage.queue.append(request(Signal::Logs, encoding, number, &[50])).await.unwrap();
        }
        stage.pass(4 * SECOND).await;
        stage.targets[0].works();
        stage.drained(Signal::Logs, 300 * SECOND).await;
        is_each_once(&stage, 0, Signal::Logs, 0..60);
        let batches = stage.targets[0].batches(Signal::Logs);
        let mut together = batches.iter().filter(|batch| batch.items > 2).peekable();
        assert!(together.peek().is_some(), "{}", stage.story());
        assert!(together.all(|batch| batch.encoding == packed), "{batches:?}");
    }
}

/// Metrics that come while the one request in flight is answered slowly.
/// Guarantees that they go together, in order, without waiting for company: the first goes at once, alone.
#[tokio::test(start_paused = true)]
async fn strict_order_keeps_up_with_a_slow_hub() {
    let stage = Setting::new(&["hub"]).merging().raise();
    stage.targets[0].set_latency(SECOND);
    for number in 0..100 {
        append(&stage, Signal::Metrics, number, 1).await;
        stage.pass(SECOND / 20).await;
    }
    stage.drained(Signal::Metrics, 5 * SECOND).await;
    is_each_once(&stage, 0, Signal::Metrics, 0..100);
    let arrivals = stage.targets[0].arrivals(Signal::Metrics);
    assert!(arrivals.len() <= 8 && arrivals[0].along == 0, "{arrivals:?}");
}

/// A hub that refuses whatever holds one certain item.
/// Guarantees that the batch with it is dead, and that alone; that the others arrive, and that no breaker opens over it.
#[tokio::test(start_paused = true)]
async fn one_bad_batch_dies_alone() {
    for (signal, status) in [(Signal::Logs, 400), (Signal::Metrics, 400), (Signal::Logs, 500)] {
        let stage = behind_an_outage(Setting::new(&["hub"]), signal, 200).await;
        stage.targets[0].works();
        stage.targets[0].answers_by_batch(with(BAD, Reply::Say(http(status))));
        stage.until(100 * SECOND, "merged", |stage| merged(stage, signal) > 0).await;
        for number in 0..30 {
            append(&stage, signal, 1000 + number, 1).await; // witnesses
            stage.pass(SECOND).await;
        }
        stage.drained(signal, 200 * SECOND).await;
        let mut arrived = taken(&stage, 0, signal);
        arrived.sort_unstable();
        let others = (0..200).filter(|number| *number != BAD).chain(1000..1030);
        assert_eq!(arrived, others.collect::<Vec<_>>(), "{}", stage.story());
        let books = stage.books(signal);
        assert_eq!((books.dead[DeadReason::Refused as usize], books.dead_total()), (1, 1));
        let opened = stage.snapshot().timeline.iter().filter(|event| event.what.contains("breaker open")).count();
        assert!(opened <= 1, "the outage alone opened it\n{}", stage.story());
        stage.books_balance().await;
    }
}

/// A hub that refuses everything that is merged, however small, and takes single requests.
/// Guarantees that all arrive by themselves, and nothing dies.
#[tokio::test(start_paused = true)]
async fn what_was_refused_together_goes_alone() {
    for (signal, status) in [(Signal::Logs, 400), (Signal::Metrics, 413), (Signal::Logs, 500)] {
        let stage = behind_an_outage(Setting::new(&["hub"]), signal, 60).await;
        stage.targets[0].works();
        let refuse = move |batch: &Batch| match batch.items {
            1 => Reply::Say(Answer::accepted()),
            _ => Reply::Say(http(status)),
        };
        stage.targets[0].answers_by_batch(refuse);
        stage.drained(signal, 600 * SECOND).await;
        is_each_once(&stage, 0, signal, 0..60);
        assert!(merged(&stage, signal) > 0);
        assert_eq!((stage.books(signal).delivered, stage.books(signal).dead_total()), (60, 0));
        stage.books_balance().await;
    }
}

/// A hub that never answers a request with one certain item.
/// Guarantees that the batch with it is found out and parked, that the others arrive, and that repeats are owned up to.
#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_found_out() {
    for signal in SIGNALS {
        let stage = behind_an_outage(Setting::new(&["hub"]), signal, 100).await;
        stage.targets[0].works();
        stage.targets[0].answers_by_batch(with(BAD, Reply::Hang));
        for number in 0..120 {
            append(&stage, signal, 1000 + number, 1).await;
            stage.pass(SECOND).await;
        }
        stage.until(300 * SECOND, "parked", |stage| stage.books(signal).parked_batches == 1).await;
        stage.until(300 * SECOND, "all others", |stage| stage.books(signal).queued == 1).await;
        let mut arrived = taken(&stage, 0, signal);
        arrived.sort_unstable();
        let others = (0..100).filter(|number| *number != BAD).chain(1000..1120);
        assert_eq!(arrived, others.collect::<Vec<_>>(), "{}", stage.story());
        assert!(merged(&stage, signal) > 0 && stage.snapshot().duplicate_sends > 0);
    }
}

/// A hub that throttles merged requests for a while, and then breaks their connections once.
/// Guarantees that what was throttled goes together again, and that what may have arrived goes by itself.
#[tokio::test(start_paused = true)]
async fn only_what_may_be_at_fault_goes_alone() {
    for (signal, reply, again) in [
        (Signal::Metrics, Reply::Say(http(429)), true),
        (Signal::Logs, Reply::Say(http(429)), true),
        (Signal::Metrics, Reply::Say(Answer::Broken { at: Break::Reset, message: "reset".to_owned() }), false),
    ] {
        let stage = behind_an_outage(Setting::new(&["hub"]), signal, 40).await;
        stage.targets[0].works();
        let refuse = move |batch: &Batch| match batch.items {
            1 => Reply::Say(Answer::accepted()),
            _ => reply.clone(),
        };
        stage.targets[0].answers_by_batch(refuse);
        stage.until(100 * SECOND, "merged", |stage| merged(stage, signal) > 0).await;
        let before = merged(&stage, signal);
        stage.targets[0].works();
        stage.drained(signal, 200 * SECOND).await;
        is_each_once(&stage, 0, signal, 0..40);
        assert_eq!(merged(&stage, signal) > before, again, "{}", stage.story());
        stage.books_balance().await;
    }
}

/// A hub that refuses seven items of each merged request.
/// Guarantees that the books have them as rejected, to the item, that the rest is delivered, and that nothing is sent again.
#[tokio::test(start_paused = true)]
async fn a_partial_success_is_counted_to_the_item() {
    let stage = behind_an_outage(Setting::new(&["hub"]), Signal::Logs, 100).await;
    stage.targets[0].works();
    stage.targets[0].answers_by_batch(|batch| {
        let rejected = if batch.items > 1 { 7 } else { 0 };
        Reply::Say(Answer::Accepted { rejected, message: "seven of them".to_owned() })
    });
    stage.drained(Signal::Logs, 200 * SECOND).await;
    is_each_once(&stage, 0, Signal::Logs, 0..100);
    let rejected = 7 * merged(&stage, Signal::Logs) as u64;
    let books = stage.books(Signal::Logs);
    assert!(rejected > 0);
    assert_eq!((books.rejected, books.delivered), (rejected, 100 - rejected));
    assert_eq!(stage.snapshot().targets[0].rejected[Signal::Logs.index()], rejected);
    stage.books_balance().await;
}

/// A hub that takes 100 kB, and many small requests.
/// Guarantees that merged ones keep to that after a handful of refusals, that nothing is cut, and that everything arrives.
#[tokio::test(start_paused = true)]
async fn merged_requests_keep_to_what_the_target_takes() {
    let stage = Setting::new(&["hub"]).merging().raise();
    stage.targets[0].dies();
    for number in 0..400 {
        stage.queue.append(request(Signal::Metrics, Encoding::Gzip, number, &[2000])).await.unwrap();
    }
    stage.pass(4 * SECOND).await;
    stage.targets[0].forget_arrivals();
    stage.targets[0].works();
    stage.targets[0].takes_at_most(100_000);
    stage.drained(Signal::Metrics, 300 * SECOND).await;
    is_each_once(&stage, 0, Signal::Metrics, 0..400);
    let arrivals = stage.targets[0].arrivals(Signal::Metrics);
    let refused = arrivals.iter().filter(|arrival| arrival.len > 100_000).count();
    assert!((1..=4).contains(&refused), "{refused}\n{}", stage.story());
    assert_eq!(stage.snapshot().chains[Signal::Metrics.index()].split_batches, 0);
    stage.books_balance().await;
}

/// The hub is away, a fallback takes what gathers, and the hub comes back.
/// Guarantees that the hub is owed all of it, gets it once, and that both get it in a few requests.
#[tokio::test(start_paused = true)]
async fn what_a_fallback_took_together_is_owed() {
    for signal in SIGNALS {
        let stage = behind_an_outage(Setting::new(&["hub", "direct"]), signal, 200).await;
        stage.until(100 * SECOND, "owed", |stage| stage.books(signal).owed == 200).await;
        is_each_once(&stage, 1, signal, 0..200);
        stage.targets[0].works();
        stage.drained(signal, 400 * SECOND).await;
        is_each_once(&stage, 0, signal, 0..200);
        let most = |target: usize| stage.targets[target].batches(signal).len();
        assert!(most(0) <= 40 && most(1) <= 40, "{} and {}\n{}", most(0), most(1), stage.story());
        assert_eq!(stage.books(signal).delivered, 200);
        stage.books_balance().await;
    }
}
