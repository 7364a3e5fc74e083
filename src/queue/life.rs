//! One life of the store: an engine and the three threads on it, from an open to a close.
//!
//! It knows nothing of the lives before and after it: those are the [`owner`](super::owner)'s.

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use super::commit::Committer;
use super::error::StoreError;
use super::keeper::Keeper;
use super::memory::Budget;
use super::reader::{self, Errand};
use super::recover::Recovered;
use super::shared::Shared;
use super::store::Engine;
use crate::config::QueueConfig;

/// A store that is open. Dropped, it ends its threads and closes the store, which may hang while the disk does.
pub(super) struct Life {
    shared: Arc<Shared>,
    committer: Committer,
    others: Vec<JoinHandle<()>>,
}

impl Life {
    /// Takes what was recovered over into the lanes and starts the reading and the keeping thread. Nothing is taken or handed
    /// out yet.
    pub(super) fn begin(
        shared: Arc<Shared>,
        config: &QueueConfig,
        budget: &Budget,
        store: &Path,
        engine: Arc<dyn Engine>,
        recovered: Recovered,
    ) -> Result<Life, StoreError> {
        let (errands, errands_in) = mpsc::channel();
        shared.rebuild(&recovered, errands);
        let committer = Committer::new(Arc::clone(&engine), Arc::clone(&shared), config, recovered, budget.group);
        let mut keeper = Keeper::new(Arc::clone(&engine), Arc::clone(&shared), store.to_owned(), config, budget);
        keeper.measure();
        let mut life = Life { shared: Arc::clone(&shared), committer, others: Vec::new() };
        life.others.push(spawn("queue-read", move || reader::run(engine.as_ref(), &shared, &errands_in))?);
        life.others.push(spawn("queue-keep", move || keeper.run())?);
        Ok(life)
    }

    /// Writes until the store fails or is to be closed.
    pub(super) fn run(&mut self) {
        // A bug in there has poisoned the queue, which is what its owner looks at.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| self.committer.run()));
    }

    /// Marks the store as closed with nothing outstanding. Not to be called after a failure.
    pub(super) fn seal(&self) -> Result<(), StoreError> {
        self.committer.seal()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.shared.pulse.end();
        self.shared.read_soon(Errand::Stop);
        for other in self.others.drain(..) {
            let _ = other.join(); // a panic in there has poisoned the queue already
        }
    }
}

/// Starts a thread of the queue. Its name begins with `queue-`: a panic in there is the owner's to deal with.
pub(super) fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StoreError> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(body);
    spawned.map_err(|error| StoreError::failed(format!("thread {name} cannot be started: {error}")))
}
