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

use super::{App, orders};
use crate::config::{Config, Loaded, Mistakes};
use crate::deliver::{Deliver, Plan};
use crate::observe::{Reload, now_ms};
use crate::target;

/// Time between two looks. Two looks have to agree before anything is done, since a file may be found half written.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Reads the configuration, the same way as at the start.
pub type Load = Arc<dyn Fn() -> Result<Loaded, Mistakes> + Send + Sync>;

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
    deliver: Arc<Deliver>,
    told: Arc<Told>,
    /// What the process was started with: some keys hold until it ends.
    started: Config,
    /// What was taken last.
    taken: Config,
}

/// What a look found: a configuration, or what is wrong with it.
type Found = Result<Config, String>;

impl Follower {
    pub(super) fn new(app: &App, load: Load, config: Config) -> Follower {
        let (deliver, told) = (Arc::clone(&app.deliver), Arc::clone(&app.told));
        Follower { load, deliver, told, started: config.clone(), taken: config }
    }

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
                None => target::build(target, &self.started.cluster.name).map_err(|error| error.to_string())?,
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
        self.taken = config.clone();
        Ok(())
    }

    fn taken_over(&self, warnings: &[String]) {
        warnings.iter().for_each(|warning| warn!("{warning}"));
        let restart_needed = differing(&self.started, &self.taken);
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

/// The keys whose change is for the next start, dotted.
fn differing(started: &Config, read: &Config) -> Vec<String> {
    let hot = Config {
        targets: started.targets.clone(),
        chain: started.chain.clone(),
        replay: started.replay.clone(),
        ..read.clone()
    };
    let mut keys = Vec::new();
    compare("", &started.to_json(), &hot.to_json(), &mut keys);
    keys
}

fn compare(path: &str, one: &serde_json::Value, other: &serde_json::Value, keys: &mut Vec<String>) {
    match (one.as_object(), other.as_object()) {
        (Some(one), Some(other)) => {
            let all = one.keys().chain(other.keys().filter(|key| !one.contains_key(*key)));
            for key in all {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let nothing = &serde_json::Value::Null;
                compare(&path, one.get(key).unwrap_or(nothing), other.get(key).unwrap_or(nothing), keys);
            }
        }
        _ if one != other => keys.push(path.to_owned()),
        _ => {}
    }
}

impl App {
    /// Follows the configuration from now on: `load` reads it, `config` is what it said when this was started.
    pub fn follow(&mut self, load: Load, config: Config, hangup: Signal) {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(Follower::new(self, load, config).run(hangup, stopped));
        self.follower = Some((stop, task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;

    fn config(text: &str) -> Config {
        let text = format!("targets: {{hub: {{endpoint: \"http://hub:4317\"}}}}\n{text}");
        Config::load(&Source::Text { name: "test".to_owned(), text }, &[], &|_| None).unwrap().config
    }

    /// Keys of every section change.
    /// Guarantees that those which hold until the next start are named, and those which do not are not.
    #[test]
    fn what_needs_a_restart_is_named() {
        let started = config("");
        assert_eq!(differing(&started, &started), Vec::<String>::new());
        let read = config(
            "chain: {min_stay: 1s}\nreplay: {fresh_share: 80%}\nqueue: {max_size: 3GiB, directory: /elsewhere}\n\
             admin: {endpoint: \"127.0.0.1:1\"}\ntelemetry: {log: debug}\n",
        );
        let mut named = differing(&started, &read);
        named.sort();
        assert_eq!(named, ["admin.endpoint", "queue.directory", "queue.max_size", "telemetry.log"]);
    }
}
