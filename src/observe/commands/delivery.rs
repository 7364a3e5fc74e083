//! What people order delivery to do.

use http::StatusCode;

use super::{Answer, Json, Refusal, Running};
use crate::deliver::by_hand::{Command, CommandError, Done};

pub(super) async fn command(Running(delivery): Running, Json(command): Json<Command>) -> Answer<Done> {
    let done = delivery.command(command).await.map_err(|error| match error {
        CommandError::NoSuchTarget { .. } => Refusal::wrong(error),
        CommandError::NotNow(_) => Refusal::new(StatusCode::CONFLICT, error),
        CommandError::NotKept(cause) => Refusal::from(cause),
    })?;
    Ok(Json(done))
}
