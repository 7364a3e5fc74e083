//! A new configuration without a restart: on SIGHUP, and when what can be read differs from what was read.
//!
//! Every few seconds the configuration is read as at the start, with everything that it names, and compared. So it does not matter how
//! a change came about: a file that was edited, a ConfigMap whose symlink was swapped, a secret behind `${file:…}`. What the files of
//! certificates and tokens hold is the affair of targets and doors, which read them again by themselves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::hot::restart_needed;
use super::{App, orders};
use crate::config::{Config, Loaded, Mistakes, TelemetryConfig};
use crate::deliver::{Deliver, Plan};
use crate::observe::{Reload, now_ms};
use crate::queue::Queue;
use crate::receive::Rules;
use crate::target::{self, Tracer};

/// Time between two looks. Two looks have to agree before anything is done, since a file may be found half written.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Reads the configuration, the same way as at the start.
pub type Load = Arc<dyn Fn() -> Result<Loaded, Mistakes> + Send + Sync>;

/// Logs as another section says, from now on.
pub type SetLog = Box<dyn Fn(&TelemetryConfig) + Send + Sync>;

/// What a gateway needs of the process around it to follow its configuration.
pub struct Outside {
    /// Reads it.
    pub load: Load,
    /// Asks for it to be read at once.
    pub hangup: Signal,
    /// Puts `telemetry.log` in force.
    pub log: SetLog,
}

/// What is told of reloads.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Reload>);

impl Told {
    pub(super) fn get(&self) -> Reload {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Reload> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows the configuration, until it is stopped.
pub(super) struct Follower {
    load: Load,
    log: SetLog,
    rules: Arc<Rules>,
    queue: Queue,
    deliver: Arc<Deliver>,
    told: Arc<Told>,
    tracer: Option<Arc<Tracer>>,
    /// What the process was started with: some keys hold until it ends.
    started: Config,
    /// What was taken last.
    taken: Config,
}

/// What a look found: a configuration, or what is wrong with it.
type Found = Result<Config, String>;

impl Follower {
    /// Looks now and then, and at each SIGHUP, until `stop` turns true.
    pub(super) async fn run(mut self, mut hangup: Signal, mut stop: watch::Receiver<bool>) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before: Found = Ok(self.taken.clone());
        loop {
            let asked = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = looks.tick() => false,
                Some(()) = hangup.recv() => true,
            };
            let (found, warnings) = self.look().await;
            if asked {
                info!("SIGHUP: the configuration is read again");
            }
            if asked || found == before {
                self.act(&found, &warnings, asked).await;
            }
            before = found;
        }
    }

    async fn look(&self) -> (Found, Vec<String>) {
        let load = Arc::clone(&self.load);
        match tokio::task::spawn_blocking(move || load()).await {
            Ok(Ok(Loaded { config, warnings })) => (Ok(config), warnings),
            Ok(Err(Mistakes { file, list })) => {
                let lines: Vec<_> = list.iter().map(|mistake| mistake.line(&file)).collect();
                (Err(lines.join("; ")), Vec::new())
            }
            Err(error) => (Err(error.to_string()), Vec::new()),
        }
    }

    /// Does what a look that can be relied on calls for.
    async fn act(&mut self, found: &Found, warnings: &[String], asked: bool) {
        let trouble = self.told.lock().error.is_some();
        let done = match found {
            Ok(config) if *config == self.taken && !trouble && !asked => return,
            Ok(config) if *config == self.taken => Ok(()),
            Ok(config) => self.take(config).await,
            Err(error) => Err(error.clone()),
        };
        match done {
            Ok(()) => self.taken_over(warnings),
            Err(error) => self.refused(error, asked),
        }
    }

    /// Puts a configuration in force, as far as that goes without a restart.
    async fn take(&mut self, config: &Config) -> Result<(), String> {
        let mut targets = Vec::with_capacity(config.targets.len());
        for target in &config.targets {
            let sender = match self.deliver.in_use(target) {
                Some(sender) => sender,
                None => target::build_traced(target, &self.started.cluster.name, self.tracer.as_ref())
                    .map_err(|error| error.to_string())?,
            };
            targets.push((target.clone(), sender));
        }
        let plan = Plan {
            chain: config.chain.clone(),
            replay: config.replay.clone(),
            orders: orders(&self.started.queue),
            targets,
        };
        self.deliver.change(plan).await.map_err(|error| error.to_string())?;
        self.queue.change_limits(&config.queue);
        self.rules.change(&config.receivers, config.packing());
        (self.log)(&config.telemetry);
        self.taken = config.clone();
        Ok(())
    }

    fn taken_over(&self, warnings: &[String]) {
        warnings.iter().for_each(|warning| warn!("{warning}"));
        let restart_needed = restart_needed(&self.started, &self.taken);
        let what = match restart_needed.as_slice() {
            [] => "the configuration was read again and is in force".to_owned(),
            keys => format!(
                "the configuration was read again and is in force, but for {}: that needs a restart",
                keys.join(", ")
            ),
        };
        match restart_needed.is_empty() {
            true => info!("{what}"),
            false => warn!("{what}"),
        }
        self.deliver.note(what);
        *self.told.lock() = Reload { successful: true, success_ms: Some(now_ms()), error: None, restart_needed };
    }

    /// Told once, however often it is met.
    fn refused(&self, error: String, asked: bool) {
        let mut told = self.told.lock();
        if told.error.as_ref() == Some(&error) && !asked {
            return;
        }
        error!("the configuration cannot be taken, the one before stays in force: {error}");
        self.deliver.note(format!("the configuration cannot be taken, the one before stays in force: {error}"));
        (told.successful, told.error) = (false, Some(error));
    }
}

impl App {
    /// Follows the configuration from now on: `config` is what it said when this was started.
    pub fn follow(&mut self, outside: Outside, config: Config) {
        let Outside { load, hangup, log } = outside;
        let follower = Follower {
            load,
            log,
            rules: Arc::clone(&self.rules),
            queue: self.queue.clone(),
            deliver: Arc::clone(&self.deliver),
            told: Arc::clone(&self.told),
            tracer: self.tracer.clone(),
            started: config.clone(),
            taken: config,
        };
        let (stop, stopped) = watch::channel(false);
        self.follower = Some((stop, tokio::spawn(follower.run(hangup, stopped))));
    }
}
