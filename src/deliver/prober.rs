//! The task that probes one target's health, from start to stop. The first result decides at once.

use std::sync::Arc;

use tokio::time::timeout;

use super::gate::Gate;
use super::step::Stop;
use crate::config::Probe;

/// Probes until it is stopped; at once where probes are off.
pub async fn run(gate: Arc<Gate>, mut stop: Stop) {
    if gate.config.health.probe == Probe::Off {
        return;
    }
    let mut asked = false;
    while stop.borrow().is_none() {
        let probe = async {
            gate.probe(asked).await;
            timeout(gate.next_probe(), gate.doubted()).await
        };
        tokio::select! {
            wait = probe => asked = wait.is_ok(),
            stopped = stop.changed() => if stopped.is_err() { return },
        }
    }
}
