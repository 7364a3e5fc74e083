//! What of the queue's configuration may change while it is open: how much it may hold, for how long, and what goes first.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use crate::batch::Signal;
use crate::config::{DeadLetterConfig, QueueConfig, QueueSize, WhenFull};

/// The limits, shared by all who keep them.
#[derive(Debug)]
pub(super) struct Limits(RwLock<Values>);

/// The limits of one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values {
    /// Quota of physical bytes.
    pub max: QueueSize,
    /// Size of the ballast file in bytes; `None` derives it.
    pub reserve: Option<u64>,
    pub signals: [Rule; 3],
    pub letters: DeadLetterConfig,
}

/// What a signal may take, and what is done once it took too much.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Guaranteed share of the limit.
    pub share: f64,
    pub when_full: WhenFull,
    /// Age at which a batch is dropped; zero for never.
    pub max_age: Duration,
}

impl Limits {
    pub(super) fn new(config: &QueueConfig) -> Limits {
        Limits(RwLock::new(Values::of(config)))
    }

    /// What holds now.
    pub(super) fn now(&self) -> Values {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Others from now on.
    pub(super) fn change(&self, config: &QueueConfig) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Values::of(config);
    }
}

impl Values {
    fn of(config: &QueueConfig) -> Values {
        let signals = Signal::ALL.map(|signal| {
            let signal = &config.signals[signal.index()];
            Rule {
                share: signal.share,
                when_full: signal.when_full.unwrap_or(config.when_full),
                max_age: signal.max_age.unwrap_or(config.max_age),
            }
        });
        Values { max: config.max_size, reserve: config.reserve, signals, letters: config.dead_letters }
    }

    /// What holds for a signal.
    pub(super) fn of_signal(&self, signal: Signal) -> Rule {
        self.signals[signal.index()]
    }
}
