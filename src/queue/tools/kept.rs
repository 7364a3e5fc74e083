//! One small value that delivery keeps over restarts. The queue does not look into it.

use crate::queue::Queue;
use crate::queue::command::Command;
use crate::queue::error::QueueError;
use crate::queue::store::{Family, keys};

impl Queue {
    /// Keeps `value` in place of what was kept before: synced when this returns, whatever `queue.durability` says. It is there
    /// after any end of the process, and after a salvage as far as its bytes could be read.
    pub async fn keep(&self, value: Vec<u8>) -> Result<(), QueueError> {
        self.ask(|reply| Command::Keep { value, reply }).await
    }

    /// What was kept last.
    pub async fn kept(&self) -> Result<Option<Vec<u8>>, QueueError> {
        self.look(|engine, _| engine.get(Family::Meta, keys::KEPT)).await
    }
}
