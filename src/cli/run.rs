//! `spillway run`: from the options to a gateway that accepts, and from a signal to its end.

use std::error::Error;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use super::args::RunArgs;
use super::exit::Code;
use super::{logging, out, version};
use crate::app::{Addresses, App, Load, Outside, SetLog};
use crate::config::{Config, Override};

/// Beyond `shutdown.timeout`, which [`App::stop`] keeps by itself: the last line against something that hangs.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// Open files beside those of clients: the store's, targets, the admin port.
const OWN_FILES: u64 = 1024;

/// Runs the gateway until a signal.
pub(super) fn run(args: &RunArgs) -> Code {
    let log = args.log.as_ref().map(|level| Override::text(format!("--log {level}"), "telemetry.log", level));
    let from = args.config.clone();
    let load: Load = Arc::new(move || from.load(log.clone()));
    let loaded = match load() {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            out::note(&mistakes.to_string());
            return Code::Usage;
        }
    };
    let log = logging::start(&loaded.config.telemetry);
    info!(configuration = args.config.source().name(), "{}", version::line());
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    allow_open_files(loaded.config.receivers.max_connections);
    on_runtime(serve(loaded.config, (load, log), args.ports_file.as_deref()))
}

/// Raises the limit of open files to the most that the system allows. The usual one, 1024, is for programs that cannot count
/// further, and each connection is one: at the limit the store could not open its files either.
fn allow_open_files(connections: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let allowed = if raised.is_ok() { maximum } else { current };
    if allowed.is_some_and(|allowed| allowed < connections as u64 + OWN_FILES) {
        warn!(allowed, "open files are limited to fewer than receivers.otlp.max_connections needs");
    }
}

/// Carries out a command on a runtime of its own. What hangs on the runtime's threads afterwards is left behind.
pub(super) fn on_runtime(command: impl Future<Output = Code>) -> Code {
    let runtime = match runtime::Builder::new_multi_thread().enable_all().thread_name("spillway").build() {
        Ok(runtime) => runtime,
        Err(error) => return out::fail(&format!("the system gives no threads: {error}"), Code::Bug),
    };
    let code = runtime.block_on(command);
    runtime.shutdown_background();
    code
}

async fn serve(config: Config, (load, log): (Load, SetLog), ports_file: Option<&Path>) -> Code {
    let signals = Stop::listen().and_then(|stop| Ok((stop, signal(SignalKind::hangup())?)));
    let (mut asked, hangup) = match signals {
        Ok(signals) => signals,
        Err(error) => return out::fail(&format!("signals cannot be listened to: {error}"), Code::Bug),
    };
    let started = tokio::select! {
        started = App::start(config.clone()) => started,
        _ = asked.asked() => return Code::Fine,
    };
    let timeout = config.shutdown.timeout;
    let mut app = match started {
        Ok(app) => app,
        Err(error) => return out::fail(&with_causes(&error), Code::from(&error)),
    };
    app.follow(Outside { load, hangup, log }, config);
    let written = ports_file.map_or(Ok(()), |file| write_ports(file, &app.addresses()));
    let linger = match &written {
        Ok(()) => asked.asked().await,
        Err(_) => false,
    };
    tokio::select! {
        ended = tokio::time::timeout(timeout + LAST_PATIENCE, app.stop(linger)) => if ended.is_err() {
            warn!("something hung past shutdown.timeout and is left behind; nothing acknowledged is lost");
        },
        // Asked a second time, somebody is in a hurry.
        _ = asked.asked() => warn!("stopped at once; nothing acknowledged is lost"),
    }
    match written {
        Ok(()) => Code::Fine,
        Err(error) => out::fail(&error, Code::Directory),
    }
}

/// The signals that ask for the end.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> io::Result<Stop> {
        Ok(Stop { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one. True when load balancers are to be waited for: a supervisor asked, not a person at a terminal.
    async fn asked(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => true,
            _ = self.interrupt.recv() => false,
        }
    }
}

/// Writes the addresses as JSON. Whoever waits for the file finds it whole: it is renamed into place.
fn write_ports(file: &Path, addresses: &Addresses) -> Result<(), String> {
    let failed = |error: io::Error| format!("--ports-file {} cannot be written: {error}", file.display());
    let text = serde_json::to_string(addresses).map_err(|error| failed(error.into()))?;
    let mut unfinished = file.as_os_str().to_owned();
    unfinished.push(format!(".{}", std::process::id()));
    std::fs::write(&unfinished, text + "\n").map_err(failed)?;
    std::fs::rename(&unfinished, file).map_err(failed)
}

/// An error and what caused it, in one line.
fn with_causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}
