//! A new configuration while everything runs.
//!
//! What did not change is kept: the gate of a target, with its connections, breaker and health, and the line of a signal, which
//! does not even pause. A line that changed is ended, its leases go back to the queue, and another one goes on from where it was.
//! The queue is not touched, so nothing that was accepted can be lost by a change.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::by_hand::ByHand;
use super::gate::Gate;
use super::jitter::Jitter;
use super::line::Line;
use super::{Cast, Crew, Deliver, Plan};
use crate::batch::Signal;
use crate::config::{ChainConfig, Order, ReplayConfig, TargetConfig};
use crate::target::Target;

/// How long requests in flight may take when their line ends. Those given up are sent again, and may arrive twice.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a change is refused. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// People count on that target.
    #[error("traffic is pinned to {0}, which no chain has any more: unpin it first")]
    Pinned(String),
    /// The process ends.
    #[error("delivery is being stopped")]
    Stopping,
}

impl Deliver {
    /// The target that is in use for exactly this section, to be handed in again with the next plan: its connections live on.
    pub fn in_use(&self, config: &TargetConfig) -> Option<Arc<dyn Target>> {
        self.gates().iter().find(|gate| gate.config == *config).map(|gate| gate.target.clone())
    }

    /// Delivers by another plan from now on. Returns once it is in force.
    pub async fn change(&self, plan: Plan) -> Result<(), ChangeError> {
        let mut tasks = self.turn.lock().await;
        if self.stopping.borrow().is_some() {
            return Err(ChangeError::Stopping);
        }
        let by_hand = self.by_hand();
        let has = |cast: &Cast, name: &str| cast.gates.iter().any(|gate| gate.config.name == name);
        let before = self.cast().clone();
        let after = self.crew.cast(plan, Some(&before), &by_hand);
        if let Some(name) = by_hand.target().filter(|name| has(&before, name) && !has(&after, name)) {
            return Err(ChangeError::Pinned(name.to_owned()));
        }
        let lines = left(&before.lines, &after.lines);
        let gates = left(&before.gates, &after.gates);
        tasks.leave(&lines, &gates, Instant::now() + PATIENCE).await;
        lines.iter().for_each(|line| line.retire());
        for (line, old) in after.lines.iter().zip(&before.lines) {
            if !Arc::ptr_eq(line, old) {
                line.go_on_from(old);
                line.begin();
            }
        }
        let gone = (std::mem::replace(&mut *self.cast(), after.clone()), before, lines, gates);
        // A file target lets go of its file with this, which its successor is to have, and may wait for a disk.
        let _ = tokio::task::spawn_blocking(move || drop(gone)).await;
        tasks.take_up(&after);
        Ok(())
    }

    /// Something for the timeline that happened beside delivery, and is logged where it happened.
    pub fn note(&self, what: String) {
        self.crew.told.1.add(what);
    }
}

/// Those that are gone.
fn left<T>(before: &[Arc<T>], after: &[Arc<T>]) -> Vec<Arc<T>> {
    before.iter().filter(|old| !after.iter().any(|new| Arc::ptr_eq(new, old))).cloned().collect()
}

impl Crew {
    /// Gates and lines of a plan; those of `before` that would come out the same are kept.
    pub(super) fn cast(&self, plan: Plan, before: Option<&Cast>, by_hand: &ByHand) -> Cast {
        let Plan { chain, replay, orders, targets } = plan;
        let named = |name: &str| {
            let mut chains = chain.signals.iter();
            chains.any(|chain| chain.primary == name || chain.fallback.iter().any(|fallback| fallback == name))
        };
        let targets = targets.into_iter().filter(|(config, _)| named(&config.name));
        let gates: Vec<Arc<Gate>> =
            targets.map(|(config, target)| self.gate(config, target, &replay, before)).collect();
        let lines = Signal::ALL.into_iter().map(|signal| {
            let mut line = self.line(signal, orders[signal.index()], (&chain, &replay), &gates);
            if let Some(old) = before.map(|before| &before.lines[signal.index()]) {
                if old.is_as(&line) {
                    return old.clone();
                }
                line.go_on_counting(old);
            }
            line.obey(by_hand);
            Arc::new(line)
        });
        let lines = lines.collect();
        Cast { replay, gates, lines }
    }

    fn gate(
        &self,
        config: TargetConfig,
        target: Arc<dyn Target>,
        replay: &ReplayConfig,
        before: Option<&Cast>,
    ) -> Arc<Gate> {
        let old = before.and_then(|before| before.gates.iter().find(|gate| gate.config.name == config.name));
        let same = before.is_some_and(|before| before.replay.rate == replay.rate);
        if let Some(old) = old.filter(|old| same && old.config == config && Arc::ptr_eq(&old.target, &target)) {
            return old.clone();
        }
        let mut gate = Gate::new(config, target, replay.rate, self.jitter().fork(), self.told.clone());
        if let Some(old) = old {
            gate.counts = old.counts.clone();
        }
        Arc::new(gate)
    }

    fn line(&self, signal: Signal, order: Order, configs: (&ChainConfig, &ReplayConfig), gates: &[Arc<Gate>]) -> Line {
        let chain = configs.0.of(signal);
        let names = std::iter::once(&chain.primary).chain(&chain.fallback);
        let gates = names.filter_map(|name| gates.iter().find(|gate| gate.config.name == *name).cloned()).collect();
        Line::new(signal, order, configs, gates, (self.queue.clone(), self.knife.clone()), self.told.clone())
    }

    fn jitter(&self) -> MutexGuard<'_, Jitter> {
        self.jitter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
