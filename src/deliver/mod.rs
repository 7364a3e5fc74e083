//! Delivery: chain, breaker, backoff, lanes and the loop that joins them.
//!
//! It leases from the queue, sends through targets, classifies what came back and settles. It never sees a client.
//!
//! | file | what lives there |
//! |---|---|
//! | [`step`] | one batch from lease to settlement, and the loop of a signal |
//! | [`alone`], [`together`] | one parked batch, now and then; several small ones at once |
//! | [`line`], [`line_state`] | what a signal's loop knows: who gets the next batch, from which lane |
//! | [`chain`], [`witness`], [`suspects`], [`ceiling`], [`lanes`], [`detour`], [`doubt`], [`judge`], [`bundle`] | the pure pieces of a line |
//! | [`knife`] | cuts what is too large, joins what is small |
//! | [`by_hand`], [`command`], [`line_by_hand`] | what people order |
//! | [`change`], [`line_change`] | a new configuration while everything runs |
//! | [`gate`] | a target's state behind its lock, told to log and loops |
//! | [`target_state`], [`request`] | the pure state of a target, joined from [`breaker`], [`backoff`], [`concurrency`], [`health`], [`pace`] with [`bearing`] and [`bucket`], [`silence`] |
//! | [`prober`], [`intake`] | the tasks beside the loops |
//! | [`snapshot`], [`timeline`], [`counts`], [`meter`] | what it tells of itself |

pub mod alone;
pub mod backoff;
pub mod bearing;
pub mod breaker;
pub mod bucket;
pub mod bundle;
pub mod by_hand;
pub mod ceiling;
pub mod chain;
pub mod change;
pub mod command;
pub mod concurrency;
pub mod counts;
pub mod detour;
pub mod doubt;
pub mod gate;
pub mod health;
pub mod intake;
pub mod jitter;
pub mod judge;
pub mod knife;
pub mod lanes;
pub mod line;
pub mod line_by_hand;
pub mod line_change;
pub mod line_state;
pub mod meter;
pub mod pace;
pub mod prober;
pub mod request;
pub mod silence;
pub mod snapshot;
pub mod step;
pub mod stir;
pub mod suspects;
pub mod target_state;
mod task;
pub mod timeline;
pub mod together;
pub mod window;
pub mod witness;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::batch::Signal;
use crate::config::{ChainConfig, Order, ReplayConfig, TargetConfig};
use crate::queue::Queue;
use crate::target::Target;
use by_hand::ByHand;
use gate::Gate;
use jitter::Jitter;
use knife::Knife;
use line::Line;
use stir::Stir;
use task::Tasks;
use timeline::Timeline;

/// Where everything goes, and how.
pub struct Plan {
    /// Each signal's chain.
    pub chain: ChainConfig,
    /// The pace of the backlog.
    pub replay: ReplayConfig,
    /// In which order each signal is delivered, by [`Signal::index`].
    pub orders: [Order; 3],
    /// The targets; those that no chain names are left out.
    pub targets: Vec<(TargetConfig, Arc<dyn Target>)>,
}

/// Delivery at work: one task a signal, one prober a target, one that measures the intake. All of them end with
/// [`Deliver::stop`], and also when this is dropped.
pub struct Deliver {
    cast: Arc<Mutex<Cast>>,
    crew: Crew,
    by_hand: Mutex<ByHand>,
    /// Orders and changes take turns.
    turn: tokio::sync::Mutex<Tasks>,
    /// By when everything has to have ended, once it is to end.
    stopping: watch::Sender<Option<Instant>>,
}

/// Who is at work now.
#[derive(Clone)]
struct Cast {
    replay: ReplayConfig,
    /// In the order of the configuration.
    gates: Vec<Arc<Gate>>,
    /// By [`Signal::index`].
    lines: Vec<Arc<Line>>,
}

/// What gates and lines share, whatever changes.
struct Crew {
    queue: Queue,
    knife: Arc<Knife>,
    told: (Arc<Stir>, Arc<Timeline>),
    jitter: Mutex<Jitter>,
}

impl Deliver {
    /// Starts delivering; call it inside a tokio runtime. `by_hand` is what was ordered before, and holds from the first batch on.
    pub fn start(plan: Plan, queue: &Queue, by_hand: ByHand) -> Deliver {
        Deliver::start_with(plan, queue, by_hand, Jitter::random())
    }

    /// The same with waits that a seed foretells.
    pub fn start_with(plan: Plan, queue: &Queue, by_hand: ByHand, jitter: Jitter) -> Deliver {
        let told = (Arc::new(Stir::default()), Arc::new(Timeline::default()));
        let crew = Crew { queue: queue.clone(), knife: Arc::new(Knife::default()), told, jitter: Mutex::new(jitter) };
        let cast = crew.cast(plan, None, &by_hand);
        if let Some(name) = by_hand.target().filter(|name| cast.gates.iter().all(|gate| gate.config.name != *name)) {
            tracing::warn!(
                "traffic is pinned to {name}, which no chain has: the chains decide until one has it, or until `unpin`"
            );
        }
        cast.lines.iter().for_each(|line| line.begin());
        let mut tasks = Tasks::default();
        tasks.take_up(&cast);
        let cast = Arc::new(Mutex::new(cast));
        tasks.measure(&cast);
        let (stopping, _) = watch::channel(None);
        Deliver { cast, crew, by_hand: Mutex::new(by_hand), turn: tokio::sync::Mutex::new(tasks), stopping }
    }

    /// What goes on now.
    pub fn snapshot(&self) -> snapshot::Snapshot {
        let (gates, lines) = (self.gates(), self.lines());
        let primary = |gate: &Arc<Gate>| {
            let mut primaries = lines.iter().filter_map(|line| line.gates.first());
            primaries.any(|first| Arc::ptr_eq(first, gate))
        };
        snapshot::Snapshot {
            targets: gates.iter().map(|gate| gate.view(primary(gate))).collect(),
            chains: Signal::ALL.map(|signal| lines[signal.index()].view()),
            by_hand: self.by_hand(),
            timeline: self.crew.told.1.events(),
            duplicate_sends: lines.iter().map(|line| line.duplicate_sends.get()).sum(),
        }
    }

    /// The first target of a signal's chain, whatever carries its traffic.
    pub fn primary(&self, signal: Signal) -> Option<Arc<dyn Target>> {
        self.cast().lines[signal.index()].gates.first().map(|gate| gate.target.clone())
    }

    /// Ends delivery: no new leases; what is in flight may end within `patience`, the rest is returned to the queue.
    pub async fn stop(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        self.stopping.send_if_modified(|stopping| stopping.is_none().then(|| *stopping = Some(deadline)).is_some());
        let deadline = self.stopping.borrow().unwrap_or(deadline);
        self.turn.lock().await.end(deadline).await;
    }

    fn cast(&self) -> MutexGuard<'_, Cast> {
        self.cast.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gates(&self) -> Vec<Arc<Gate>> {
        self.cast().gates.clone()
    }

    fn lines(&self) -> Vec<Arc<Line>> {
        self.cast().lines.clone()
    }
}

#[cfg(test)]
mod tests;
