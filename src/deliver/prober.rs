//! The task that probes one target's health, from start to stop. The first result decides at once.

use std::sync::Arc;

use tokio::time::sleep;

use super::gate::Gate;
use super::step::Stop;
use crate::config::Probe;

/// Probes until it is stopped; at once where probes are off.
pub async fn run(gate: Arc<Gate>, mut stop: Stop) {
    if gate.config.health.probe == Probe::Off {
        return;
    }
    while stop.borrow().is_none() {
        tokio::select! {
            () = async { gate.probe().await; sleep(gate.next_probe()).await } => {}
            stopped = stop.changed() => if stopped.is_err() { return },
        }
    }
}
