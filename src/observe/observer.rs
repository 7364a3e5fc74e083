//! The handle that everything else in this part hangs on: it reads the parts, remembers the little that a single reading
//! does not tell, and renders it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::info;

use super::books::{self, Auditor};
use super::commands::Desk;
use super::facts::{Facts, now_ms};
use super::headline::{self, Change, Headline, Tracker};
use super::heartbeat::{self, Heartbeat};
use super::history::{self, History};
use super::metrics::{self, Registry, RegistryError};
use super::probes::Phase;
use super::sources::{Reading, Sources};
use super::status::{self, Status};
use super::trend::Trend;
use super::view::View;
use crate::deliver::snapshot::Event;
use crate::queue::snapshot::{Recount, StoreState};
use crate::units::format_duration;

/// Time between looks when nobody asks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Changes of the headline that are remembered.
const EVENTS: usize = 64;
/// Changes of the headline that are logged within a minute; a queue at the edge of full could change it each second.
const LOGGED_A_MINUTE: usize = 10;

/// What the gateway tells of itself. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Observer {
    core: Arc<Core>,
    registry: Registry,
}

#[derive(Debug)]
struct Core {
    facts: Facts,
    started: Instant,
    heartbeat: Heartbeat,
    sources: OnceLock<Sources>,
    desk: Desk,
    stopping: AtomicBool,
    memory: Mutex<Memory>,
    auditor: Auditor,
}

/// What is remembered from look to look.
#[derive(Debug)]
struct Memory {
    last_look_ms: u64,
    tracker: Tracker,
    trend: Trend,
    history: History,
    events: VecDeque<Event>,
    logged: VecDeque<u64>,
}

impl Observer {
    /// An observer of a process that recovers its queue; its metrics are registered in `registry`.
    /// Refused when a name in `registry` is taken.
    pub fn new(facts: Facts, registry: &Registry) -> Result<Observer, RegistryError> {
        let started = Instant::now();
        let memory = Memory {
            last_look_ms: 0,
            tracker: Tracker::new(facts.started_ms),
            trend: Trend::default(),
            history: History::default(),
            events: VecDeque::new(),
            logged: VecDeque::new(),
        };
        let core = Arc::new(Core {
            facts: facts.clone(),
            started,
            heartbeat: Heartbeat::new(started),
            sources: OnceLock::new(),
            desk: Desk::default(),
            stopping: AtomicBool::new(false),
            memory: Mutex::new(memory),
            auditor: Auditor::default(),
        });
        let looked_at = core.clone();
        metrics::register(registry, facts, move || looked_at.look())?;
        Ok(Observer { core, registry: registry.clone() })
    }

    /// The queue is recovered and the parts work: from now on they are looked at. Only the first call counts.
    pub fn recovered(&self, sources: Sources) {
        let _ = self.core.sources.set(sources);
    }

    /// Where the queue is put, once it is open, for commands to reach it.
    pub fn desk(&self) -> Desk {
        self.core.desk.clone()
    }

    /// The process was asked to end: it is not ready any more, and goes on telling how it does.
    pub fn stopping(&self) {
        self.core.stopping.store(true, Relaxed);
    }

    /// Keeps the heartbeat, looks at the parts each second and recounts the queue every few minutes, until `stop` turns
    /// true. To be run on the runtime that the parts run on: it is that one's heartbeat.
    pub async fn watch(&self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.beat() => {}
            () = self.look_again_and_again() => {}
            () = self.recount_again_and_again() => {}
        }
    }

    /// Recounts the queue now and returns what was found; fails with a sentence.
    pub async fn recount(&self) -> Result<[Recount; 3], String> {
        match self.core.sources.get() {
            Some(sources) => self.core.auditor.run(|| (sources.recount)()).await,
            None => Err("the queue is being recovered".to_owned()),
        }
    }

    /// All metrics in the Prometheus text format. Blocks for as long as the snapshots take.
    pub fn scrape(&self) -> Result<String, RegistryError> {
        metrics::render(&self.registry)
    }

    /// Everything, for people and programs. Blocks for as long as the snapshots take.
    pub fn status(&self) -> Status {
        let view = self.core.look();
        let headline = self.headline();
        let events = self.core.memory().events.iter().cloned().collect();
        status::build(&self.core.facts, self.phase(), headline, events, view.as_ref())
    }

    /// The last quarter of an hour.
    pub fn history(&self) -> history::Told {
        self.core.memory().history.tell()
    }

    /// The headline as of the last look.
    pub fn headline(&self) -> Headline {
        self.core.memory().tracker.headline().clone()
    }

    /// Where the process is in its life.
    pub fn phase(&self) -> Phase {
        match (self.core.stopping.load(Relaxed), self.core.sources.get()) {
            (true, _) => Phase::Stopping,
            (false, None) => Phase::Recovering,
            (false, Some(_)) => Phase::Running,
        }
    }

    /// Whether the store takes writes; `None` until the queue is recovered. Blocks as a snapshot does.
    pub(super) fn store_state(&self) -> Option<StoreState> {
        self.core.sources.get().map(|sources| (sources.queue)().state)
    }

    /// How long the runtime has been silent. Touches no lock and no part.
    pub(super) fn silence(&self) -> Duration {
        self.core.heartbeat.silence(Instant::now())
    }

    async fn beat(&self) {
        let mut ticks = tokio::time::interval(heartbeat::EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.core.heartbeat.beat(Instant::now());
        }
    }

    async fn look_again_and_again(&self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let core = self.core.clone();
            // A snapshot may wait for a lock or a disk; the heartbeat beside this must not.
            let _ = tokio::task::spawn_blocking(move || core.look()).await;
        }
    }

    async fn recount_again_and_again(&self) {
        while self.core.sources.get().is_none() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let mut ticks = tokio::time::interval(books::EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let _ = self.recount().await;
        }
    }
}

impl Core {
    /// Reads the parts, takes note of what changed, and adds what was remembered. `None` until the queue is recovered.
    fn look(&self) -> Option<View> {
        let reading = self.sources.get()?.read();
        let at = self.started.elapsed();
        let mut memory = self.memory();
        let change = memory.take(&reading, at);
        let outlook = memory.trend.outlook(at, &reading.queue);
        drop(memory);
        if let Some((change, true)) = change {
            log(&change);
        }
        Some(View { outlook, audit: self.auditor.audit(), reading })
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// Takes a reading; tells a change of the headline, and whether it is to be logged. Looks may overtake each other:
    /// an older one changes nothing.
    fn take(&mut self, reading: &Reading, at: Duration) -> Option<(Change, bool)> {
        if reading.at_ms < self.last_look_ms {
            return None;
        }
        self.last_look_ms = reading.at_ms;
        self.trend.record(at, &reading.queue);
        let assessment = headline::assess(reading, self.tracker.headline().state);
        let change = self.tracker.take(assessment, reading.at_ms);
        self.history.record(at, reading, self.tracker.headline().state);
        let change = change?;
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        let what = format!("{}: {}", change.now.state.as_str(), change.now.why);
        self.events.push_back(Event { at_ms: reading.at_ms, what });

        self.logged.retain(|logged| logged + 60_000 > reading.at_ms);
        let logged = self.logged.len() < LOGGED_A_MINUTE;
        if logged {
            self.logged.push_back(reading.at_ms);
        }
        Some((change, logged))
    }
}

/// One line a change of the headline.
fn log(change: &Change) {
    let Change { was, now } = change;
    let lasted = Duration::from_secs(now_ms().saturating_sub(was.since_ms) / 1000);
    let (state, before) = (now.state.as_str(), was.state.as_str());
    info!(state, before, lasted = format_duration(lasted), "{state}: {}", now.why);
}
