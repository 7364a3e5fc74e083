//! Opening: the directory is taken, the store opened in it, and an owner set over both.

use std::sync::Arc;

use tokio::sync::watch;

use super::clock::{Clock, Machine, System};
use super::directory::Directory;
use super::error::{OpenError, StoreError};
use super::memory::Budget;
use super::owner::Owner;
use super::salvage;
use super::shared::Shared;
use super::store::Engine;
use super::store::memory::Disk;
use crate::config::QueueConfig;

/// How the store in a directory is opened, at the start and after each failure.
pub(super) type Opener = Box<dyn FnMut(&Directory) -> Result<Arc<dyn Engine>, StoreError> + Send>;

/// A queue that runs.
pub(super) struct Opened {
    pub shared: Arc<Shared>,
    /// Becomes true, or ends, once the threads have ended, the store is closed and the lock is free.
    pub closed: watch::Receiver<bool>,
}

/// Takes the directory and opens the store in it.
pub(super) fn open(config: &QueueConfig) -> Result<Opened, OpenError> {
    let directory = Directory::take(&config.directory)?;
    let path = directory.store().to_owned();
    let budget = Budget::of(config);
    let opener = move |directory: &Directory| -> Result<Arc<dyn Engine>, StoreError> {
        Ok(Arc::new(salvage::open(directory, &budget)?))
    };
    let opened = start(config, &budget, directory, Box::new(opener), Box::new(Machine));
    opened.map_err(|source| OpenError::Store { path, source })
}

/// Takes the directory's lock and opens a store in memory.
pub(super) fn open_in_memory(config: &QueueConfig, disk: &Disk) -> Result<Opened, OpenError> {
    let directory = Directory::take(&config.directory)?;
    let disk = disk.clone();
    let opener = move |_: &Directory| -> Result<Arc<dyn Engine>, StoreError> { Ok(Arc::new(disk.engine())) };
    let opened = start(config, &Budget::of(config), directory, Box::new(opener), Box::new(Machine));
    opened.map_err(|source| OpenError::Store { path: config.directory.clone(), source })
}

/// Recovers what the store of that directory holds and starts the threads on it.
pub(super) fn start(
    config: &QueueConfig,
    budget: &Budget,
    directory: Directory,
    opener: Opener,
    clocks: Box<dyn System>,
) -> Result<Opened, StoreError> {
    let shared = Arc::new(Shared::new(config, Clock::new(clocks), budget));
    let closed = Owner::start(Arc::clone(&shared), config, *budget, directory, opener)?;
    Ok(Opened { shared, closed })
}
