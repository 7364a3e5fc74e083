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
//! | [`gate`] | a target's state behind its lock, told to log and loops |
//! | [`target_state`], [`request`] | the pure state of a target, joined from [`breaker`], [`backoff`], [`concurrency`], [`health`], [`pace`], [`silence`] |
//! | [`prober`], [`intake`] | the tasks beside the loops |
//! | [`snapshot`], [`timeline`], [`counts`], [`meter`] | what it tells of itself |

pub mod alone;
pub mod backoff;
pub mod breaker;
pub mod ceiling;
pub mod chain;
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
use gate::Gate;
use jitter::Jitter;
use knife::Knife;
use line::Line;
use stir::Stir;
use timeline::Timeline;

/// Delivery at work: one task a signal, one prober a target, one that measures the intake. All of them end with
/// [`Deliver::stop`], and also when this is dropped.
pub struct Deliver {
    gates: Vec<Arc<Gate>>,
    lines: Vec<Arc<Line>>,
    timeline: Arc<Timeline>,
    stop: watch::Sender<Option<Instant>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Deliver {
    /// Starts delivering; call it inside a tokio runtime. `orders` is by [`Signal::index`]; targets that no chain names are left
    /// out.
    #[expect(clippy::needless_pass_by_value, reason = "a part owns its section of the configuration")]
    pub fn start(
        chain: ChainConfig,
        replay: ReplayConfig,
        orders: [Order; 3],
        targets: Vec<(TargetConfig, Arc<dyn Target>)>,
        queue: Queue,
    ) -> Deliver {
        Deliver::start_with(&chain, &replay, orders, targets, &queue, Jitter::random())
    }

    /// The same with waits that a seed foretells.
    pub fn start_with(
        chain: &ChainConfig,
        replay: &ReplayConfig,
        orders: [Order; 3],
        targets: Vec<(TargetConfig, Arc<dyn Target>)>,
        queue: &Queue,
        mut jitter: Jitter,
    ) -> Deliver {
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
                let configs = (chain, replay);
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
        let (stop, stopping) = watch::channel(None);
        let mut tasks = vec![tokio::spawn(intake::run(lines.clone(), gates.clone(), stopping.clone()))];
        tasks.extend(lines.iter().map(|line| tokio::spawn(step::run(line.clone(), stopping.clone()))));
        tasks.extend(gates.iter().map(|gate| tokio::spawn(prober::run(gate.clone(), stopping.clone()))));
        Deliver { gates, lines, timeline: told.1, stop, tasks: Mutex::new(tasks) }
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
