//! Closing and opening the intake, for a drain.

use std::time::Duration;

use super::wire::Intake;
use super::{Answer, Json, Open};

/// Whoever closes the intake for a time says so again and again while it is needed: a tool that dies does not leave behind
/// a gateway that refuses.
pub(super) async fn intake(Open(queue): Open, Json(intake): Json<Intake>) -> Answer<Intake> {
    match intake {
        Intake::Open => queue.open_intake(),
        Intake::Closed { seconds } => queue.close_intake(seconds.map(Duration::from_secs)),
    }
    Ok(Json(intake))
}
