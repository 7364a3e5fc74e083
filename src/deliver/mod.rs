//! Delivery: chain, breaker, backoff, lanes and the loop that joins them.
//!
//! It leases from the queue, sends through targets, classifies what came back and settles. It never sees a client.
//!
//! | file | what lives there |
//! |---|---|
//! | [`step`] | one batch from lease to settlement, and the loop of a signal |
//! | [`alone`] | one parked batch, now and then |
//! | [`line`], [`line_state`] | what a signal's loop knows: who gets the next batch, from which lane |
//! | [`chain`], [`witness`], [`suspects`], [`ceiling`], [`lanes`], [`detour`], [`doubt`], [`judge`] | the pure pieces of a line |
//! | [`knife`] | cuts what is too large |
//! | [`by_hand`], [`command`], [`line_by_hand`] | what people order |
//! | [`gate`] | a target's state behind its lock, told to log and loops |
//! | [`target_state`], [`request`] | the pure state of a target, joined from [`breaker`], [`backoff`], [`concurrency`], [`health`], [`pace`] with [`bearing`] and [`bucket`], [`silence`] |
//! | [`prober`], [`intake`] | the tasks beside the loops |
//! | [`snapshot`], [`timeline`], [`counts`], [`meter`] | what it tells of itself |

pub mod alone;
pub mod backoff;
pub mod bearing;
pub mod breaker;
pub mod bucket;
pub mod by_hand;
pub mod ceiling;
pub mod chain;
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
pub mod timeline;
pub mod window;
pub mod witness;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
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
    gates: Vec<Arc<Gate>>,
    lines: Vec<Arc<Line>>,
    timeline: Arc<Timeline>,
    queue: Queue,
    by_hand: Mutex<ByHand>,
    /// Orders take turns.
    turn: tokio::sync::Mutex<()>,
    stop: watch::Sender<Option<Instant>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Deliver {
    /// Starts delivering; call it inside a tokio runtime. `by_hand` is what was ordered before, and holds from the first batch on.
    pub fn start(plan: Plan, queue: &Queue, by_hand: ByHand) -> Deliver {
        Deliver::start_with(plan, queue, by_hand, Jitter::random())
    }

    /// The same with waits that a seed foretells.
    pub fn start_with(plan: Plan, queue: &Queue, by_hand: ByHand, mut jitter: Jitter) -> Deliver {
        let Plan { chain, replay, orders, targets } = plan;
        let told = (Arc::new(Stir::default()), Arc::new(Timeline::default()));
        let knife = Arc::new(Knife::default());
        let named = |name: &str| {
            let mut chains = chain.signals.iter();
            chains.any(|chain| chain.primary == name || chain.fallback.iter().any(|fallback| fallback == name))
        };
        let gates: Vec<Arc<Gate>> = targets
            .into_iter()
            .filter(|(config, _)| named(&config.name))
            .map(|(config, target)| Arc::new(Gate::new(config, target, replay.rate, jitter.fork(), told.clone())))
            .collect();
        let lines: Vec<Arc<Line>> = Signal::ALL
            .into_iter()
            .map(|signal| {
                let names = std::iter::once(&chain.of(signal).primary).chain(&chain.of(signal).fallback);
                let find = |name: &String| gates.iter().find(|gate| gate.config.name == *name).cloned();
                let gates = names.filter_map(find).collect();
                let configs = (&chain, &replay);
                Arc::new(Line::new(
                    signal,
                    orders[signal.index()],
                    configs,
                    gates,
                    (queue.clone(), knife.clone()),
                    told.clone(),
                ))
            })
            .collect();
        if let Some(name) = by_hand.target().filter(|name| gates.iter().all(|gate| gate.config.name != *name)) {
            tracing::warn!(
                "traffic is pinned to {name}, which no chain has: the chains decide until one has it, or until `unpin`"
            );
        }
        lines.iter().for_each(|line| line.obey(&by_hand));
        let (stop, stopping) = watch::channel(None);
        let mut tasks = vec![tokio::spawn(intake::run(lines.clone(), gates.clone(), stopping.clone()))];
        tasks.extend(lines.iter().map(|line| tokio::spawn(step::run(line.clone(), stopping.clone()))));
        tasks.extend(gates.iter().map(|gate| tokio::spawn(prober::run(gate.clone(), stopping.clone()))));
        let (queue, by_hand, turn) = (queue.clone(), Mutex::new(by_hand), tokio::sync::Mutex::default());
        Deliver { gates, lines, timeline: told.1, queue, by_hand, turn, stop, tasks: Mutex::new(tasks) }
    }

    /// What goes on now.
    pub fn snapshot(&self) -> snapshot::Snapshot {
        let primary = |gate: &Arc<Gate>| {
            let mut primaries = self.lines.iter().filter_map(|line| line.gates.first());
            primaries.any(|first| Arc::ptr_eq(first, gate))
        };
        snapshot::Snapshot {
            targets: self.gates.iter().map(|gate| gate.view(primary(gate))).collect(),
            chains: Signal::ALL.map(|signal| self.lines[signal.index()].view()),
            by_hand: self.by_hand(),
            timeline: self.timeline.events(),
            duplicate_sends: self.lines.iter().map(|line| line.duplicate_sends.get()).sum(),
        }
    }

    /// Ends delivery: no new leases; what is in flight may end within `patience`, the rest is returned to the queue.
    pub async fn stop(&self, patience: Duration) {
        self.stop.send_if_modified(|deadline| {
            let first = deadline.is_none();
            *deadline = Some(deadline.unwrap_or_else(|| Instant::now() + patience));
            first
        });
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!("a task of delivery ended by itself: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests;
