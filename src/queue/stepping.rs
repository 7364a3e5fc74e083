//! A queue whose threads are one task on a disk in memory: everything happens in one order, so that a simulation gives the
//! same result each time.
//!
//! No space is given back, of which a disk in memory takes none.

mod keeping;

use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep, sleep_until};

pub(crate) use self::keeping::Gone;

use super::Queue;
use super::clock::{Clock, System};
use super::commit::Committer;
use super::inbox::{Wake, Work};
use super::keeper::Keeper;
use super::memory::Budget;
use super::open::Opened;
use super::reader::{self, Errand};
use super::recount::recount;
use super::recover::recover;
use super::shared::Shared;
use super::simulation::Disk;
use super::store::Engine;
use crate::config::QueueConfig;

/// What is written without a sync is synced so long after.
pub(crate) const SYNC_WITHIN: Duration = Duration::from_millis(850);

/// What is too old or too much is looked for so often.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What a queue's threads would have.
pub(crate) struct Stepping {
    shared: Arc<Shared>,
    engine: Arc<dyn Engine>,
    committer: Committer,
    keeper: Keeper,
    errands: mpsc::Receiver<Errand>,
}

/// The runtime's clock, which a simulation lets jump.
struct Simulated(Instant);

impl System for Simulated {
    fn wall_ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn since_boot_ms(&self) -> u64 {
        self.wall_ms()
    }

    fn boot(&self) -> u128 {
        1
    }
}

impl Stepping {
    /// Opens a queue on a disk; its clock began at `start`. Nothing is written or read until [`Stepping::run`].
    pub(crate) fn open(config: &QueueConfig, disk: &Disk, start: Instant) -> (Queue, Stepping) {
        let budget = Budget::of(config);
        let shared = Arc::new(Shared::new(config, Clock::new(Box::new(Simulated(start))), &budget));
        let engine: Arc<dyn Engine> = Arc::new(disk.engine());
        let mut recovered = recover(engine.as_ref(), config.durability, &shared.clock, None).unwrap();
        let (clean, books) = (recovered.clean, recovered.books);
        shared.careful.recover(&config.directory, &recovered);
        shared.careful.bar(&mut recovered);
        let (reader, errands) = mpsc::channel();
        shared.rebuild(&recovered, reader);
        if !clean {
            shared.careful.begin(&books);
        }
        shared.opened();
        let committer = Committer::new(Arc::clone(&engine), Arc::clone(&shared), config, recovered, budget.group);
        let keeper = keeping::keeper(Arc::clone(&engine), Arc::clone(&shared), config, &budget);
        let queue = Queue::new(Opened { shared: Arc::clone(&shared), closed: watch::channel(true).1 });
        (queue, Stepping { shared, engine, committer, keeper, errands })
    }

    /// Writes and reads until it is dropped, each time after what a disk takes, and tells what was removed undelivered.
    pub(crate) async fn run(mut self, disk: impl Fn() -> Duration, gone: impl Fn(Gone)) {
        let shared = Arc::clone(&self.shared);
        let mut looks = interval(LOOK_EVERY);
        let mut unsynced: Option<Instant> = None;
        loop {
            let look = tokio::select! {
                biased;
                _ = looks.tick() => true,
                () = shared.inbox.bell.notified() => false,
                () = sleep_until(unsynced.unwrap_or_else(Instant::now) + SYNC_WITHIN), if unsynced.is_some() => {
                    self.committer.sync().unwrap();
                    unsynced = None;
                    continue;
                }
            };
            sleep(disk()).await;
            if shared.is_closing() {
                return; // killed meanwhile
            }
            self.step();
            if look {
                self.keep().into_iter().for_each(&gone);
            }
            unsynced = self.committer.unsynced.and(unsynced.or(Some(Instant::now())));
        }
    }

    fn step(&mut self) {
        let mut work = Work::default();
        self.shared.inbox.hurry();
        while self.shared.inbox.fetch(&mut work, Some(std::time::Instant::now())) == Wake::Work {
            self.committer.work(&mut work).unwrap();
        }
        let (sender, errands) = mpsc::channel();
        for errand in self.errands.try_iter().chain([Errand::Stop]) {
            match errand {
                Errand::Recount(reply) => drop(reply.send(recount(self.engine.as_ref()))),
                errand => sender.send(errand).unwrap(),
            }
        }
        reader::run(self.engine.as_ref(), &self.shared, &errands);
        let _ = self.shared.inbox.bell.notified().now_or_never(); // all of that is done
    }
}

impl Queue {
    /// Whether its committing thread, which is told to hurry, has written everything that was handed in.
    pub(crate) fn is_written(&self) -> bool {
        let inbox = &self.shared.inbox;
        if !inbox.is_empty() {
            inbox.hurry();
        }
        inbox.is_idle()
    }

    /// Ends it as kill -9 does.
    pub(crate) fn kill(&self) {
        self.shared.kill();
    }
}
