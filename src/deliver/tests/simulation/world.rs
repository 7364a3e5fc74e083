//! One gateway with its disk, its hubs and its clients, through an hour of faults and the calm after it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::stage::Setting;
use super::fate::{FAULTS, Fate, Fault, HOUR};
use super::load::Load;
use super::oracle::Oracle;
use super::peer::{Mood, Peer};
use crate::batch::Signal;
use crate::config::{Durability, QueueSize};
use crate::deliver::by_hand::ByHand;
use crate::deliver::jitter::Jitter;
use crate::deliver::{Deliver, Plan};
use crate::queue::Queue;
use crate::queue::ledger::DropReason;
use crate::queue::simulation::Disk;
use crate::queue::stepping::{Gone, SYNC_WITHIN, Stepping};
use crate::target::Target;

/// What a disk takes that is well.
const DISK: Duration = Duration::from_millis(2);

/// Load goes on for so long once all is well.
const CALM: Duration = Duration::from_secs(600);

/// And then the queue is empty within this time: breakers, ramps and stays have to pass first.
const EMPTY_WITHIN: Duration = Duration::from_secs(3 * 3600);

const NAMES: [&str; 3] = ["hub", "second", "third"];

pub(super) struct World {
    pub(super) seed: u64,
    pub(super) fate: Fate,
    pub(super) peers: Vec<Arc<Peer>>,
    pub(super) load: Arc<Load>,
    setting: Setting,
    pub(super) start: Instant,
    disk: Disk,
    disk_latency: Arc<AtomicU64>,
    gateway: Arc<Mutex<Option<Queue>>>,
    /// What was removed undelivered, for its age or for want of space.
    pub(super) gone: Arc<Mutex<Vec<Gone>>>,
    lives: u64,
    /// Repeats that ends of the process explain, and those that gateways owned up to.
    pub(super) repeats: u64,
    pub(super) story: Vec<String>,
}

/// What came of a seed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Played {
    /// All that happened, as one number.
    pub(super) result: u64,
    /// Requests with several batches that hubs took.
    pub(super) merged: u64,
    /// Items that were dropped for want of space and for their age, and owed ones that were released.
    pub(super) full: u64,
    pub(super) aged: u64,
    pub(super) released: u64,
}

/// A gateway's process, from start to end.
pub(super) struct Life {
    pub(super) queue: Queue,
    pub(super) deliver: Deliver,
    threads: JoinHandle<()>,
}

impl World {
    pub(super) fn new(seed: u64, fate: Fate) -> World {
        let start = Instant::now();
        let mut setting = Setting::new(&NAMES[..fate.hubs.len()]).merging();
        setting.chain.fallback_takes_backlog = fate.backlog;
        setting.queue.durability = Durability::Fsync;
        setting.queue.memory_limit = Some(16 << 20);
        setting.queue.max_size = fate.quota.map_or(setting.queue.max_size, QueueSize::Bytes);
        for (signal, (when_full, max_age)) in
            setting.queue.signals.iter_mut().zip(fate.when_full.into_iter().zip(fate.max_age))
        {
            (signal.when_full, signal.max_age) = (Some(when_full), max_age);
        }
        for (config, _) in &mut setting.targets[1..] {
            config.replay_to_primary = fate.replayed;
        }
        let peers = NAMES.iter().zip(fate.hubs.iter());
        let peers = peers.map(|(name, hub)| Arc::new(Peer::new(name, start, *hub, &fate)));
        World {
            seed,
            peers: peers.collect(),
            fate,
            load: Arc::default(),
            setting,
            start,
            disk: Disk::new(),
            disk_latency: Arc::new(AtomicU64::new(DISK.as_micros() as u64)),
            gateway: Arc::default(),
            gone: Arc::default(),
            lives: 0,
            repeats: 0,
            story: Vec::new(),
        }
    }

    pub(super) async fn play(mut self) -> Played {
        let mut life = self.begin();
        for signal in Signal::ALL {
            let seed = self.seed * 3 + signal.index() as u64;
            let client = self.load.clone().client(signal, self.gateway.clone(), seed, self.start + HOUR + CALM);
            tokio::spawn(client);
        }
        assert!(self.fate.faults.len() >= FAULTS);
        for (at, fault) in self.fate.faults.clone() {
            sleep_until(self.start + at).await;
            self.story.push(format!("{:>8.3} {fault:?}", self.start.elapsed().as_secs_f64()));
            life = self.strike(fault, life).await;
        }
        sleep_until(self.start + HOUR).await;
        for peer in &self.peers {
            peer.set(Mood::Well);
        }
        self.disk_latency.store(DISK.as_micros() as u64, Relaxed);
        sleep(CALM).await;
        let oracle = Oracle { world: &self, life: &life };
        while !oracle.is_quiet() {
            assert!(self.start.elapsed() < HOUR + CALM + EMPTY_WITHIN, "I6: not empty yet\n{}", oracle.story());
            sleep(Duration::from_secs(10)).await;
        }
        oracle.check().await;
        let mut played = Played { result: self.digest(&life), ..Played::default() };
        played.merged = self.peers.iter().map(|peer| peer.merged()).sum();
        for depth in life.queue.snapshot().signals {
            played.full += depth.books.dropped[DropReason::QueueFull as usize];
            played.aged += depth.books.dropped[DropReason::MaxAge as usize];
            played.released += depth.books.owed_released;
        }
        played
    }

    fn begin(&mut self) -> Life {
        self.lives += 1;
        let (queue, stepping) = Stepping::open(&self.setting.queue, &self.disk, self.start);
        let latency = self.disk_latency.clone();
        let gone = self.gone.clone();
        let threads = tokio::spawn(
            stepping
                .run(move || Duration::from_micros(latency.load(Relaxed)), move |lost| gone.lock().unwrap().push(lost)),
        );
        let targets = self.setting.targets.iter().zip(&self.peers);
        let targets = targets.map(|((config, _), peer)| (config.clone(), peer.clone() as Arc<dyn Target>)).collect();
        let Setting { chain, replay, orders, .. } = &self.setting;
        let plan = Plan { chain: chain.clone(), replay: replay.clone(), orders: *orders, targets };
        let jitter = Jitter::seeded(self.seed + 1_000_000 * self.lives);
        let deliver = Deliver::start_with(plan, &queue, ByHand::default(), jitter);
        *self.gateway.lock().unwrap() = Some(queue.clone());
        Life { queue, deliver, threads }
    }

    async fn strike(&mut self, fault: Fault, life: Life) -> Life {
        match fault {
            Fault::Hubs { first, count, mood, lasts } => {
                for peer in self.peers.iter().cycle().skip(first).take(count) {
                    let (peer, change) = (peer.clone(), peer.set(mood));
                    tokio::spawn(async move {
                        sleep(lasts).await;
                        peer.heal(change);
                    });
                }
                life
            }
            Fault::SlowDisk { latency, lasts } => {
                let (disk, latency) = (self.disk_latency.clone(), latency.as_micros() as u64);
                disk.store(latency, Relaxed);
                tokio::spawn(async move {
                    sleep(lasts).await;
                    let _ = disk.compare_exchange(latency, DISK.as_micros() as u64, Relaxed, Relaxed);
                });
                life
            }
            Fault::End { how, gap } => {
                self.repeats += self.unsettled(&life);
                self.gateway.lock().unwrap().take();
                life.queue.kill();
                self.disk.crash(how);
                life.threads.abort();
                drop(life);
                sleep(gap).await;
                self.begin()
            }
        }
    }

    /// Batches of which a start after an end at this moment may know less than the hubs.
    fn unsettled(&self, life: &Life) -> u64 {
        let latency = Duration::from_micros(self.disk_latency.load(Relaxed));
        let since = self.start.elapsed().saturating_sub(2 * SYNC_WITHIN + 4 * latency);
        let lately = self.peers.iter().flat_map(|peer| peer.took()).filter(|took| took.at >= since).count();
        let out: usize = life.queue.snapshot().signals.iter().map(|depth| depth.leased_batches as usize).sum();
        (lately + out) as u64 + life.deliver.snapshot().duplicate_sends
    }

    /// All that happened, as one number.
    fn digest(&self, life: &Life) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.peers.iter().for_each(|peer| peer.took().hash(&mut hasher));
        Signal::ALL.iter().for_each(|signal| self.load.acked(*signal).hash(&mut hasher));
        format!("{:?}", life.queue.snapshot().signals.map(|depth| depth.books)).hash(&mut hasher);
        self.start.elapsed().hash(&mut hasher);
        hasher.finish()
    }
}
