//! What the probes of an orchestrator get: pure functions from state to answer.
//!
//! None depends on a target. Liveness depends on the runtime alone; readiness not on space, since an unready gateway would
//! turn a refusal with a delay into a refused connection.

use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

use super::heartbeat::DEAD_AFTER;
use crate::queue::snapshot::StoreState;
use crate::units::format_duration;

/// Where the process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The queue is being opened and recovered.
    Recovering,
    /// All parts work.
    Running,
    /// It was asked to end.
    Stopping,
}

/// A silence of the runtime that is worth a word.
const LONG: Duration = Duration::from_secs(8);

/// A status and one line of text.
pub(super) type Answer = (StatusCode, String);

/// `/livez`: fails only when the runtime has been silent for a minute, and says so before.
pub(super) fn livez(silence: Duration) -> Answer {
    let silent = format_duration(Duration::from_secs(silence.as_secs()));
    match silence {
        _ if silence < LONG => (StatusCode::OK, "alive\n".to_owned()),
        _ if silence <= DEAD_AFTER => (StatusCode::OK, format!("alive, but the runtime has not turned for {silent}\n")),
        _ => (StatusCode::SERVICE_UNAVAILABLE, format!("not alive: the runtime has not turned for {silent}\n")),
    }
}

/// `/startupz`: passes once the queue is recovered.
pub(super) fn startupz(phase: Phase) -> Answer {
    match phase {
        Phase::Recovering => (StatusCode::SERVICE_UNAVAILABLE, "starting: the queue is being recovered\n".to_owned()),
        Phase::Running | Phase::Stopping => (StatusCode::OK, "started\n".to_owned()),
    }
}

/// `/readyz`: fails only while recovering, draining, poisoned or stopping. `store` is `None` until the queue is open.
pub(super) fn readyz(phase: Phase, store: Option<StoreState>) -> Answer {
    let (status, text) = match (phase, store) {
        (Phase::Stopping, _) | (_, Some(StoreState::Closing)) => {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready: spillway is stopping")
        }
        (Phase::Recovering, _) | (_, None) => {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready: the queue is being recovered")
        }
        (Phase::Running, Some(StoreState::Poisoned)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: a write to the queue failed, nothing is acknowledged until the store was reopened and verified",
        ),
        (Phase::Running, Some(StoreState::Recovering)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: the store failed and is being reopened, nothing is acknowledged until it was verified",
        ),
        (Phase::Running, Some(StoreState::Draining)) => {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready: draining, what is queued is delivered and nothing is taken")
        }
        (Phase::Running, Some(StoreState::Full)) => {
            (StatusCode::OK, "ready, but the queue is full: new requests are refused with a delay")
        }
        (Phase::Running, Some(StoreState::Open)) => (StatusCode::OK, "ready"),
    };
    (status, format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: the runtime's last beat grows older.
    /// Guarantee: liveness fails after sixty seconds of silence and not before.
    #[test]
    fn liveness_fails_only_after_a_minute_of_silence() {
        assert_eq!(livez(Duration::from_secs(7)), (StatusCode::OK, "alive\n".to_owned()));
        assert_eq!(livez(Duration::from_secs(60)).0, StatusCode::OK);
        let (status, text) = livez(Duration::from_millis(61_500));
        assert_eq!(
            (status, text.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "not alive: the runtime has not turned for 1m1s\n")
        );
    }

    /// Scenario: every phase with every state of the store.
    /// Guarantee: unready only while recovering, draining, poisoned, closing or stopping; full is ready and says what it is.
    #[test]
    fn readiness_fails_only_while_recovering_poisoned_or_stopping() {
        for (phase, store, ready) in [
            (Phase::Recovering, None, false),
            (Phase::Running, None, false),
            (Phase::Running, Some(StoreState::Open), true),
            (Phase::Running, Some(StoreState::Full), true),
            (Phase::Running, Some(StoreState::Draining), false),
            (Phase::Running, Some(StoreState::Poisoned), false),
            (Phase::Running, Some(StoreState::Recovering), false),
            (Phase::Running, Some(StoreState::Closing), false),
            (Phase::Stopping, Some(StoreState::Open), false),
        ] {
            assert_eq!(readyz(phase, store).0 == StatusCode::OK, ready, "{phase:?} {store:?}");
        }
        assert!(readyz(Phase::Running, Some(StoreState::Full)).1.contains("full"));
        assert_eq!(startupz(Phase::Recovering).0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(startupz(Phase::Stopping).0, StatusCode::OK);
    }
}
