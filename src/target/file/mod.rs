//! A file as a target: one line of OTLP JSON a request, as the collector's file exporter writes it.
//!
//! All signals share the file; the first key of a line tells which it is. A line counts as delivered once it is synced. One
//! thread writes: it takes what waits, writes it, syncs once, and answers all (a group commit), so that a slow disk costs
//! one sync for many senders and no thread of the runtime ever blocks.

mod names;
mod shelf;
mod writer;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::{Access, access};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use self::writer::{Job, Work, Writer};
use super::error::BuildError;
use super::{Health, Sending, Shipment, Target};
use crate::batch::Signal;
use crate::config::{FileConfig, HealthConfig, Probe, TargetConfig};
use crate::otlp::answer::{Answer, Break};

/// Requests that may wait for the writer. They hold their stored bytes, which the delivery loop bounds already.
const INBOX: usize = 64;

/// How long a disk may take over a request before it counts as gone. A sync of a busy disk takes seconds at worst.
const PATIENCE: Duration = Duration::from_secs(30);

/// A `file` target.
pub(super) struct FileTarget {
    name: String,
    health: HealthConfig,
    /// `None` only while it is dropped.
    inbox: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// Time from send to sync of the last request in microseconds; 0 before the first.
    round_trip: AtomicU64,
}

impl FileTarget {
    /// Checks that the file's directory can be written or made. The file itself is opened with the first request.
    pub(super) fn new(config: &TargetConfig, file: &FileConfig) -> Result<FileTarget, BuildError> {
        check(&file.path).map_err(|reason| BuildError::file(&config.name, "path", &file.path, reason))?;
        let (inbox, jobs) = mpsc::channel(INBOX);
        let writer = Writer::new(config.name.clone(), file.clone());
        let thread = std::thread::Builder::new()
            .name(format!("file {}", config.name))
            .spawn(move || writer.run(jobs))
            .map_err(|error| BuildError::file(&config.name, "path", &file.path, error))?;
        Ok(FileTarget {
            name: config.name.clone(),
            health: config.health.clone(),
            inbox: Some(inbox),
            thread: Some(thread),
            round_trip: AtomicU64::new(0),
        })
    }

    async fn ask(&self, work: Work) -> Answer {
        let start = Instant::now();
        let (reply, answer) = oneshot::channel();
        let asked = async {
            let inbox = self.inbox.as_ref()?;
            inbox.send(Job { work, reply }).await.ok()?;
            answer.await.ok()
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Some(answer)) => {
                let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.round_trip.store(micros.max(1), Relaxed);
                answer
            }
            Ok(None) => broken("its writer has ended"),
            Err(_) => broken(&format!("not written within {PATIENCE:?}")),
        }
    }
}

impl Drop for FileTarget {
    fn drop(&mut self) {
        self.inbox = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Target for FileTarget {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_file(&self) -> bool {
        true
    }

    fn send<'a>(&'a self, shipment: &'a Shipment) -> Sending<'a, Answer> {
        Box::pin(self.ask(Work::Line(shipment.batch.clone())))
    }

    fn probe(&self) -> Sending<'_, Health> {
        Box::pin(async {
            if self.health.probe == Probe::Off {
                return Health::Unknown;
            }
            match self.ask(Work::Look).await {
                Answer::Accepted { .. } => Health::Up,
                answer => Health::Down(answer.to_string()),
            }
        })
    }

    fn send_empty(&self, _: Signal) -> Sending<'_, Answer> {
        Box::pin(self.ask(Work::Look))
    }

    fn round_trip(&self) -> Option<Duration> {
        Some(self.round_trip.load(Relaxed)).filter(|micros| *micros > 0).map(Duration::from_micros)
    }
}

fn broken(message: &str) -> Answer {
    Answer::Broken { at: Break::Write, message: message.to_owned() }
}

/// Whether `path` can be written as far as one can tell without writing: its directory is there, or can be made.
fn check(path: &Path) -> Result<(), String> {
    if path.file_name().is_none() || path.is_dir() {
        return Err("expected the path of a file".to_owned());
    }
    let directory = names::directory(path);
    match fs::metadata(directory) {
        Ok(meta) if !meta.is_dir() => Err(format!("{} is not a directory", directory.display())),
        Ok(_) => writable(directory),
        Err(_) => {
            let parent = names::directory(directory);
            match fs::metadata(parent) {
                Ok(meta) if meta.is_dir() => writable(parent),
                _ => Err(format!("neither {} nor the directory above it exists", directory.display())),
            }
        }
    }
}

fn writable(directory: &Path) -> Result<(), String> {
    access(directory, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| format!("{} cannot be written: {}", directory.display(), std::io::Error::from(error)))
}
