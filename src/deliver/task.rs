//! The tasks of delivery, each of which can be ended by itself.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::gate::Gate;
use super::line::Line;
use super::step::{self, Stop};
use super::{Cast, intake, prober};

/// Everything that runs. Dropped, it ends.
#[derive(Default)]
pub(super) struct Tasks {
    /// By the address of the part that they run.
    running: HashMap<usize, Task>,
    intake: Option<Task>,
}

struct Task {
    stop: watch::Sender<Option<Instant>>,
    handle: JoinHandle<()>,
}

impl Task {
    fn spawn<F: Future<Output = ()> + Send + 'static>(run: impl FnOnce(Stop) -> F) -> Task {
        let (stop, stopping) = watch::channel(None);
        Task { stop, handle: tokio::spawn(run(stopping)) }
    }

    async fn ended(self) {
        if let Err(error) = self.handle.await {
            tracing::error!("a task of delivery ended by itself: {error}");
        }
    }
}

fn of<T>(part: &Arc<T>) -> usize {
    Arc::as_ptr(part).addr()
}

impl Tasks {
    /// Starts what a cast has and does not run yet.
    pub(super) fn take_up(&mut self, cast: &Cast) {
        for line in &cast.lines {
            self.running.entry(of(line)).or_insert_with(|| Task::spawn(|stop| step::run(line.clone(), stop)));
        }
        for gate in &cast.gates {
            self.running.entry(of(gate)).or_insert_with(|| Task::spawn(|stop| prober::run(gate.clone(), stop)));
        }
    }

    /// Starts measuring what comes in.
    pub(super) fn measure(&mut self, cast: &Arc<Mutex<Cast>>) {
        self.intake = Some(Task::spawn(|stop| intake::run(cast.clone(), stop)));
    }

    /// Ends the tasks of these parts: no new leases, what is in flight may end by `deadline`.
    pub(super) async fn leave(&mut self, lines: &[Arc<Line>], gates: &[Arc<Gate>], deadline: Instant) {
        let parts = lines.iter().map(of).chain(gates.iter().map(of));
        end(parts.filter_map(|part| self.running.remove(&part)).collect(), deadline).await;
    }

    /// Ends all.
    pub(super) async fn end(&mut self, deadline: Instant) {
        let tasks = self.running.drain().map(|(_, task)| task).chain(self.intake.take()).collect();
        end(tasks, deadline).await;
    }
}

async fn end(tasks: Vec<Task>, deadline: Instant) {
    for task in &tasks {
        task.stop.send_replace(Some(deadline));
    }
    for task in tasks {
        task.ended().await;
    }
}
