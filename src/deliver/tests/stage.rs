//! A gateway's delivery side on a stage: the real queue in a temporary directory, scripted targets, a clock that stands still
//! unless it is told to move.
//!
//! The queue's threads live in real time. So time moves in small steps, and only when no batch is on its way between queue and
//! targets: what is observed is then as exact as a step.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, advance};

use super::scripted::Scripted;
use crate::batch::{Batch, Encoding, Signal};
use crate::config::{
    ChainConfig, Durability, MergeConfig, Order, QueueConfig, ReplayConfig, SignalChain, SignalQueue, TargetConfig,
    TargetKind,
};
use crate::deliver::by_hand::ByHand;
use crate::deliver::jitter::Jitter;
use crate::deliver::snapshot::Snapshot;
use crate::deliver::target_state::tests::config;
use crate::deliver::{Deliver, Plan};
use crate::queue::Queue;
use crate::queue::ledger::Ledger;
use crate::target::Target;

/// Usual step of the clock: the error of every time that is measured here.
pub(super) const STEP: Duration = Duration::from_millis(20);

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// Real time that anything may take before the test is given up.
const PATIENCE: Duration = Duration::from_secs(240);

pub(super) struct Setting {
    pub(super) chain: ChainConfig,
    pub(super) replay: ReplayConfig,
    pub(super) orders: [Order; 3],
    pub(super) targets: Vec<(TargetConfig, Arc<Scripted>)>,
    pub(super) queue: QueueConfig,
    pub(super) by_hand: ByHand,
    pub(super) directory: TempDir,
}

impl Setting {
    /// The documented defaults with these targets, the first of them the primary of all signals.
    pub(super) fn new(names: &[&str]) -> Setting {
        let directory = TempDir::new().unwrap();
        let owned = |name: &&str| (*name).to_owned();
        let chain = SignalChain { primary: owned(&names[0]), fallback: names[1..].iter().map(owned).collect() };
        let signals = [SignalQueue::fresh_first(), SignalQueue::fifo(), SignalQueue::fresh_first()];
        Setting {
            chain: ChainConfig {
                signals: [chain.clone(), chain.clone(), chain],
                failover_after: 30 * SECOND,
                min_stay: 60 * SECOND,
                fallback_takes_backlog: true,
            },
            replay: ReplayConfig::default(),
            orders: [Order::FreshFirst, Order::Fifo, Order::FreshFirst],
            targets: names.iter().map(|name| (config(name), Arc::new(Scripted::new(name)))).collect(),
            queue: QueueConfig {
                directory: directory.path().to_owned(),
                durability: Durability::Os,
                signals,
                ..QueueConfig::default()
            },
            by_hand: ByHand::default(),
            directory,
        }
    }

    /// Small requests are merged, by the documented defaults.
    pub(super) fn merging(mut self) -> Setting {
        for (config, _) in &mut self.targets {
            let TargetKind::Network(network) = &mut config.kind else { panic!("a network target") };
            network.merge = MergeConfig::default();
        }
        self
    }

    pub(super) fn raise(self) -> Stage {
        let (hold, released) = std::sync::mpsc::channel::<()>();
        // While a blocking task runs the clock does not advance by itself.
        let clock = tokio::task::spawn_blocking(move || released.recv().is_err());
        let queue = Queue::open(&self.queue).unwrap();
        let targets = self.targets.iter().map(|(config, target)| (config.clone(), target.clone() as Arc<dyn Target>));
        let jitter = Jitter::seeded(7);
        let Setting { chain, replay, orders, by_hand, .. } = self;
        let plan = Plan { chain, replay, orders, targets: targets.collect() };
        let deliver = Deliver::start_with(plan, &queue, by_hand, jitter);
        let targets = self.targets.into_iter().map(|(_, target)| target).collect();
        Stage {
            queue,
            deliver,
            targets,
            step: STEP,
            start: Instant::now(),
            next: 0,
            _directory: self.directory,
            _clock: (hold, clock),
        }
    }
}

pub(super) struct Stage {
    pub(super) queue: Queue,
    pub(super) deliver: Deliver,
    pub(super) targets: Vec<Arc<Scripted>>,
    /// Step of the clock.
    pub(super) step: Duration,
    start: Instant,
    next: u64,
    _directory: TempDir,
    _clock: (std::sync::mpsc::Sender<()>, JoinHandle<bool>),
}

impl Stage {
    /// Virtual time since the curtain.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Queues batches whose bodies are rising numbers, 1 item each; the numbers.
    pub(super) async fn append(&mut self, signal: Signal, count: usize) -> Vec<u64> {
        self.append_sized(signal, count, 100).await
    }

    /// The same with bodies of so many bytes.
    pub(super) async fn append_sized(&mut self, signal: Signal, count: usize, size: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            self.next += 1;
            self.queue.append(batch(signal, self.next, size)).await.unwrap();
            numbers.push(self.next);
        }
        numbers
    }

    /// The number of the batch that was queued last.
    pub(super) fn last(&self) -> u64 {
        self.next
    }

    /// Lets time pass.
    pub(super) async fn pass(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.rest().await;
            advance(self.step.min(until - Instant::now())).await;
        }
        self.rest().await;
    }

    /// Lets time pass until the condition holds; the time that took. Fails after `most`.
    pub(super) async fn until(&self, most: Duration, what: &str, condition: impl Fn(&Stage) -> bool) -> Duration {
        let (start, real) = (Instant::now(), std::time::Instant::now());
        loop {
            self.rest().await;
            if condition(self) {
                return start.elapsed();
            }
            let late = start.elapsed() > most || real.elapsed() > PATIENCE;
            assert!(!late, "not within {most:?}: {what}\n{}", self.story());
            advance(self.step).await;
        }
    }

    /// Waits, in real time, until no batch is on its way between queue and targets.
    pub(super) async fn rest(&self) {
        let since = std::time::Instant::now();
        let mut quiet = 0;
        while quiet < 4 {
            assert!(since.elapsed() < PATIENCE, "a batch is on its way for ever\n{}", self.story());
            for _ in 0..16 {
                yield_now().await;
            }
            let under_way: usize = self.snapshot().targets.iter().map(|target| target.inflight).sum();
            let inside: usize = self.targets.iter().map(|target| target.inside()).sum();
            quiet = if under_way == inside && self.queue.is_written() { quiet + 1 } else { 0 };
            std::thread::yield_now();
        }
    }

    pub(super) fn books(&self, signal: Signal) -> Ledger {
        self.queue.snapshot().signals[signal.index()].books
    }

    /// Until nothing of that signal is queued; the time that took.
    pub(super) async fn drained(&self, signal: Signal, most: Duration) -> Duration {
        let start = Instant::now();
        loop {
            let left = most.saturating_sub(start.elapsed());
            self.until(left, "the queue is empty", |stage| stage.settled_but_for_writing(signal)).await;
            if self.written(|| self.books(signal).queued == 0).await {
                return start.elapsed();
            }
            advance(self.step).await;
        }
    }

    /// Nothing under way, and everything that is queued out on a lease: its end is being written.
    fn settled_but_for_writing(&self, signal: Signal) -> bool {
        let depth = &self.queue.snapshot().signals[signal.index()];
        let under_way: usize = self.snapshot().targets.iter().map(|target| target.inflight).sum();
        under_way == 0 && depth.leased_batches == depth.books.queued_batches
    }

    /// Gives the committing thread, in real time, the moment it may take to write what was settled.
    async fn written(&self, done: impl Fn() -> bool) -> bool {
        let since = std::time::Instant::now();
        while !done() && since.elapsed() < Duration::from_millis(300) {
            yield_now().await;
            std::thread::yield_now();
        }
        done()
    }

    /// The books come to show this, once they are written; the clock stands still meanwhile.
    pub(super) async fn books_show(&self, signal: Signal, what: &str, shown: impl Fn(&Ledger) -> bool) {
        let since = std::time::Instant::now();
        while !shown(&self.books(signal)) {
            assert!(since.elapsed() < PATIENCE / 6, "{what}: {:?}\n{}", self.books(signal), self.story());
            yield_now().await;
            std::thread::yield_now();
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.deliver.snapshot()
    }

    pub(super) fn active(&self, signal: Signal) -> String {
        self.snapshot().chains[signal.index()].active.clone()
    }

    /// What happened, for the message of a failed test.
    pub(super) fn story(&self) -> String {
        let snapshot = self.snapshot();
        let mut lines: Vec<String> = snapshot.timeline.iter().map(|event| event.what.clone()).collect();
        lines.extend(snapshot.targets.iter().map(|target| {
            let seen = (target.breaker, target.up, target.inflight, target.concurrency, target.retry_delay);
            format!("{}: {seen:?}, {:?}", target.name, target.attempts)
        }));
        for target in &self.targets {
            let arrivals = Signal::ALL.iter().flat_map(|signal| target.arrivals(*signal));
            let brief = arrivals.map(|one| (one.at - self.start, one.signal.as_str(), one.number, one.accepted));
            lines.push(format!("{:?}", brief.collect::<Vec<_>>()));
        }
        lines.extend(Signal::ALL.map(|signal| format!("{:?}", self.queue.snapshot().signals[signal.index()])));
        lines.join("\n")
    }

    /// Everything accepted is in the books exactly once, by an independent recount.
    pub(super) async fn books_balance(&self) {
        let real = std::time::Instant::now();
        for (signal, depth) in Signal::ALL.into_iter().zip(self.queue.recount().await.unwrap()) {
            let books = self.books(signal);
            assert_eq!(books.imbalance(), 0, "{books:?}");
            assert_eq!(depth.items, depth.books.queued, "{signal}: {depth:?}");
        }
        assert!(real.elapsed() < PATIENCE);
    }
}

/// A batch of one item whose body begins with a number and its length, and is `size` bytes long.
pub(super) fn batch(signal: Signal, number: u64, size: usize) -> Batch {
    let mut body = [number, size as u64].map(u64::to_be_bytes).concat();
    body.resize(size, 0);
    Batch {
        signal,
        encoding: Encoding::Identity,
        items: 1,
        inflated_len: size as u32,
        received_at_ms: 1,
        headers: Arc::from([]),
        body: body.into(),
    }
}
