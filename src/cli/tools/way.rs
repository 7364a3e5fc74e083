//! The way to a queue: over the admin socket or port of the gateway that runs on it, or offline, with the directory's lock in hand.
//!
//! Both lead to the same handlers ([`commands`]): a [`Line`] carries the request to them, offline they are called in this
//! process, on a queue without doors and without delivery.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use clap::Args;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};
use tower::ServiceExt as _;

use super::failure::{Failure, ended};
use super::line::{Line, is_nobody, unreachable_socket};
use crate::cli::exit::Code;
use crate::cli::logging;
use crate::config::{Config, QueueConfig, QueueSize, Source, TelemetryConfig, WhenFull};
use crate::observe::commands::{self, Desk, wire};
use crate::observe::socket;
use crate::queue::{OpenError, Queue};

/// How long a gateway may hold its directory before its socket answers: it starts or ends.
const STARTING: Duration = Duration::from_secs(5);
/// Pause between two tries meanwhile.
const AGAIN: Duration = Duration::from_millis(200);

/// Which queue
#[derive(Debug, Args)]
pub(in crate::cli) struct Where {
    /// The gateway's configuration file, for its `queue.directory`.
    #[arg(short, long, value_name = "FILE", env = "SPILLWAY_CONFIG", global = true, help_heading = "Which queue")]
    config: Option<PathBuf>,
    /// The directory of the queue, over the configuration's. Without either it is SPILLWAY_QUEUE_DIRECTORY or
    /// /var/lib/spillway.
    #[arg(long, value_name = "DIR", alias = "data-dir", global = true, help_heading = "Which queue")]
    dir: Option<PathBuf>,
    /// The admin socket of a running gateway, `admin.sock` in its queue's directory; nothing is tried offline then.
    #[arg(long, value_name = "FILE", global = true, help_heading = "Which queue")]
    socket: Option<PathBuf>,
    /// The admin port of a running gateway, which needs its token for all but a look from its own machine. `--dir` and `--socket` win.
    #[arg(long, value_name = "URL", env = "SPILLWAY_ADMIN", global = true, help_heading = "Which queue")]
    admin: Option<String>,
    /// The file that holds the token, with `--admin`.
    #[arg(long, value_name = "FILE", global = true, help_heading = "Which queue")]
    token_file: Option<PathBuf>,
}

/// A queue that can be asked.
pub(in crate::cli) enum Way {
    /// A gateway runs on it.
    Gateway(Line),
    /// It is ours, until it is closed.
    Offline { queue: Queue, handlers: Router },
}

impl Where {
    /// Carries out a command on the queue, lets go of it, and says why that failed; the code to end with.
    pub(in crate::cli) async fn work(&self, command: impl AsyncFnOnce(&Way) -> Result<Code, Failure>) -> Code {
        let result = match self.open().await {
            Err(failure) => Err(failure),
            Ok(way) => {
                let result = command(&way).await;
                way.close().await;
                result
            }
        };
        ended(result)
    }

    /// The same for a command that only a running gateway can carry out.
    pub(in crate::cli) async fn work_beside(&self, command: impl AsyncFnOnce(&Way) -> Result<Code, Failure>) -> Code {
        let line = match self.line() {
            Ok(Some(line)) => Ok(line),
            Ok(None) => self.load().map(|(config, _)| Line::Socket(config.directory.join(socket::NAME))),
            Err(failure) => Err(failure),
        };
        let result = match line {
            Ok(line) => match line.try_out().await {
                Ok(()) => command(&Way::Gateway(line)).await,
                Err(failure) => Err(failure),
            },
            Err(failure) => Err(failure),
        };
        ended(result)
    }

    /// The line to the gateway that was named; none where it is to be found by its directory.
    fn line(&self) -> Result<Option<Line>, Failure> {
        match (&self.socket, &self.dir, &self.admin) {
            (Some(socket), _, _) => Ok(Some(Line::Socket(socket.clone()))),
            (None, None, Some(url)) => Line::to_port(url, self.token_file.as_deref()).map(Some),
            _ => Ok(None),
        }
    }

    /// Finds the gateway that runs on the queue, or opens the queue.
    async fn open(&self) -> Result<Way, Failure> {
        if let Some(line) = self.line()? {
            line.try_out().await?;
            return Ok(Way::Gateway(line));
        }
        let (config, telemetry) = self.load()?;
        let socket = config.directory.join(socket::NAME);
        let until = Instant::now() + STARTING;
        loop {
            match socket::connect(&socket) {
                Ok(_) => return Ok(Way::Gateway(Line::Socket(socket))),
                Err(error) if is_nobody(&error) => {}
                Err(error) => return Err(unreachable_socket(&socket, &error)),
            }
            if !Queue::exists(&config.directory) {
                return Err(nothing_there(&config.directory));
            }
            match open(&config, &telemetry).await {
                Err(OpenError::Locked { .. }) if Instant::now() < until => sleep(AGAIN).await,
                Err(error) => return Err(not_opened(&error)),
                Ok(queue) => {
                    let handlers = commands::router().with_state(Desk::of(queue.clone()));
                    return Ok(Way::Offline { queue, handlers });
                }
            }
        }
    }

    /// The queue's part of the configuration, made harmless, and how to log.
    fn load(&self) -> Result<(QueueConfig, TelemetryConfig), Failure> {
        let (mut queue, mut telemetry) = match &self.config {
            Some(file) => {
                let loaded = Config::load(&Source::File(file.clone()), &[], &|name| std::env::var(name).ok());
                let config = loaded.map_err(|mistakes| Failure::new(Code::Usage, mistakes))?.config;
                (config.queue, config.telemetry)
            }
            None => {
                // Without a configuration nobody knows the quota; the volume has its own.
                let queue = QueueConfig { max_size: QueueSize::Share(1.0), ..QueueConfig::default() };
                let named = std::env::var_os("SPILLWAY_QUEUE_DIRECTORY").map(PathBuf::from);
                let directory = named.unwrap_or_else(|| queue.directory.clone());
                (QueueConfig { directory, ..queue }, TelemetryConfig::default())
            }
        };
        if let Some(directory) = &self.dir {
            queue.directory.clone_from(directory);
        }
        // A tool removes nothing by itself.
        (queue.max_age, queue.dead_letters.max_age) = (Duration::ZERO, Duration::ZERO);
        queue.when_full = WhenFull::Backpressure;
        for signal in &mut queue.signals {
            (signal.max_age, signal.when_full) = (None, None);
        }
        telemetry.log = "warn".to_owned();
        Ok((queue, telemetry))
    }
}

/// Opens the queue; its log lines are for whoever calls the tool.
async fn open(config: &QueueConfig, telemetry: &TelemetryConfig) -> Result<Queue, OpenError> {
    let _levels = logging::start(telemetry);
    let config = config.clone();
    let opening = tokio::task::spawn_blocking(move || Queue::open(&config));
    opening.await.expect("opening a queue does not panic")
}

impl Way {
    pub(in crate::cli) fn is_offline(&self) -> bool {
        matches!(self, Way::Offline { .. })
    }

    /// Looks.
    pub(in crate::cli) async fn get<T: DeserializeOwned>(&self, path: impl Display) -> Result<T, Failure> {
        let request = Request::get(path.to_string()).header(header::HOST, "spillway").body(Body::empty());
        self.ask(request.expect("paths are made of names and numbers")).await
    }

    /// Commands.
    pub(in crate::cli) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).expect("plain data can be written as JSON");
        let request = Request::post(path).header(header::HOST, "spillway").body(Body::from(body));
        self.ask(request.expect("a constant path")).await
    }

    async fn ask<T: DeserializeOwned>(&self, request: Request<Body>) -> Result<T, Failure> {
        let answer = match self {
            Way::Gateway(line) => line.carry(request).await?,
            Way::Offline { handlers, .. } => {
                let Ok(response) = handlers.clone().oneshot(request).await;
                let (head, body) = response.into_parts();
                let body = body.collect().await.map_err(|error| Failure::new(Code::Bug, error))?;
                (head, body.to_bytes())
            }
        };
        let (head, body) = answer;
        if head.status != StatusCode::OK {
            return Err(refused(&head, &body));
        }
        serde_json::from_slice(&body).map_err(|error| {
            Failure::new(
                Code::Bug,
                format!("the answer means nothing to this release ({error}): use the gateway's own"),
            )
        })
    }

    /// Lets go of the queue. What was settled or moved is on disk either way; this makes the next start a quick one.
    async fn close(self) {
        if let Way::Offline { queue, handlers } = self {
            drop(handlers);
            queue.close().await;
        }
    }
}

fn refused(head: &http::response::Parts, body: &[u8]) -> Failure {
    let error = serde_json::from_slice(body).map(|refused: wire::Refused| refused.error);
    let plain = || match head.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => String::from_utf8_lossy(body).trim().to_owned(),
        status => format!("the gateway answered {status}"),
    };
    let error = error.unwrap_or_else(|_| plain());
    let code = match head.status {
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Code::Usage,
        StatusCode::SERVICE_UNAVAILABLE => Code::InUse,
        StatusCode::INTERNAL_SERVER_ERROR => Code::Store,
        _ => Code::No,
    };
    let seconds = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Failure { retry_after: seconds.map(Duration::from_secs), ..Failure::new(code, error) }
}

fn nothing_there(directory: &Path) -> Failure {
    let sentence = format!(
        "there is no queue in {}, and no gateway runs on it: name the directory with --dir, or the configuration with --config",
        directory.display()
    );
    Failure::new(Code::Directory, sentence)
}

fn not_opened(error: &OpenError) -> Failure {
    let mut sentence = match std::error::Error::source(error) {
        Some(source) if matches!(error, OpenError::Store { .. }) => format!("{error}: {source}"),
        _ => error.to_string(),
    };
    if let OpenError::Locked { lock, holder } = error {
        sentence = format!(
            "{} is held by {holder}, which does not answer at admin.sock beside it: a gateway that starts or ends, or another \
             tool at work; try again",
            lock.display()
        );
    }
    Failure::new(Code::from(error), sentence)
}
