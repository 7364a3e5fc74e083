//! The thread that writes a file: takes what waits, writes it, syncs once, answers everybody.

use std::fs::OpenOptions;
use std::io;

use rustix::fs::statvfs;
use tokio::sync::{mpsc, oneshot};

use super::shelf::Shelf;
use super::{broken, names};
use crate::batch::Batch;
use crate::config::FileConfig;
use crate::otlp::answer::Answer;
use crate::otlp::inflate::Inflater;
use crate::otlp::json;

/// Requests that share a sync at most: bounds how long the first of them waits for the last.
const GROUP: usize = 64;

/// A line buffer above this many bytes is given back after use.
const KEPT: usize = 4 << 20;

/// Free bytes below which a volume counts as full when it is looked at: room for a few requests.
const ROOM: u64 = 1 << 20;

/// Something to do, and where to answer.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) reply: oneshot::Sender<Answer>,
}

/// What there is to do.
pub(super) enum Work {
    /// Write a request as one line.
    Line(Batch),
    /// See whether writing would work.
    Look,
}

/// Owns the file.
pub(super) struct Writer {
    target: String,
    config: FileConfig,
    /// `None` before the first request and after trouble: then it is opened anew.
    shelf: Option<Shelf>,
    /// The last line could not be written.
    failed: bool,
    inflater: Inflater,
    line: Vec<u8>,
}

/// Why a request was not written.
enum Trouble {
    /// The request cannot be written, ever.
    Request(Answer),
    /// The disk would not take it.
    Disk(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Disk(error)
    }
}

impl Writer {
    pub(super) fn new(target: String, config: FileConfig) -> Writer {
        Writer { target, config, shelf: None, failed: false, inflater: Inflater::new(), line: Vec::new() }
    }

    /// Works until every sender is gone and everything that was sent is answered.
    pub(super) fn run(mut self, mut inbox: mpsc::Receiver<Job>) {
        let mut group = Vec::with_capacity(GROUP);
        while inbox.blocking_recv_many(&mut group, GROUP) > 0 {
            self.write(&mut group);
        }
    }

    fn write(&mut self, group: &mut Vec<Job>) {
        if self.shelf.as_ref().is_some_and(|shelf| !shelf.is_current()) {
            tracing::warn!(target_name = self.target, "the file was moved or removed: a new one is begun");
            self.shelf = None;
        }
        let mut written = Vec::new();
        for Job { work, reply } in group.drain(..) {
            if reply.is_closed() {
                continue; // the sender gave up: what is not written yet must not be
            }
            let done = match work {
                Work::Line(batch) => self.append(&batch),
                Work::Look => self.look(),
            };
            match done {
                Ok(()) => written.push(reply),
                Err(Trouble::Request(answer)) => drop(reply.send(answer)),
                Err(Trouble::Disk(error)) => {
                    self.failed = true;
                    drop(reply.send(self.answer(&error)));
                }
            }
        }
        if written.is_empty() {
            return;
        }
        let answer = match self.shelf.as_mut().map_or(Ok(()), Shelf::sync) {
            Ok(()) => Answer::accepted(),
            Err(error) => {
                // After a failed sync nobody knows what is on the disk: take it back, open anew, let it come again.
                if let Some(shelf) = &mut self.shelf {
                    shelf.take_back();
                }
                self.shelf = None;
                self.failed = true;
                self.answer(&error)
            }
        };
        for reply in written {
            let _ = reply.send(answer.clone());
        }
    }

    fn append(&mut self, batch: &Batch) -> Result<(), Trouble> {
        let refused = |status, why: String| {
            let message = format!("the request cannot be written as a line: {why}");
            Trouble::Request(Answer::Http { status, message, delay: None })
        };
        let limit = batch.inflated_len as usize;
        let plain = self.inflater.inflate(batch.encoding, &batch.body, limit);
        let plain = plain.map_err(|error| refused(400, error.to_string()))?;
        self.line.clear();
        json::write_json_line(batch.signal, plain.bytes, &mut self.line)
            .map_err(|error| refused(400, error.to_string()))?;
        let line = std::mem::take(&mut self.line);
        let written = self.shelf().and_then(|shelf| {
            let longest = shelf.longest_line();
            if line.len() as u64 > longest {
                return Ok(Err(refused(413, format!("{} bytes, and rotation.max_total is {longest}", line.len()))));
            }
            shelf.append(&line).map(Ok)
        });
        if line.capacity() <= KEPT {
            self.line = line;
        }
        written?
    }

    /// Sees whether a line could be written. A file that was never written is neither made nor locked: whoever looks
    /// (`check --connect`, say) may not be the one who writes.
    fn look(&mut self) -> Result<(), Trouble> {
        if self.failed {
            self.shelf()?;
            self.failed = false;
        }
        if self.shelf.is_none() {
            super::check(&self.config.path).map_err(io::Error::other)?;
            match OpenOptions::new().append(true).open(&self.config.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        let directory = names::directory(&self.config.path);
        let directory = if directory.is_dir() { directory } else { names::directory(directory) };
        let volume = statvfs(directory).map_err(io::Error::from)?;
        if volume.f_bavail.saturating_mul(volume.f_frsize) < ROOM {
            return Err(io::Error::from(io::ErrorKind::StorageFull).into());
        }
        Ok(())
    }

    fn shelf(&mut self) -> io::Result<&mut Shelf> {
        if self.shelf.is_none() {
            self.shelf = Some(Shelf::open(&self.config)?);
        }
        Ok(self.shelf.as_mut().expect("just opened"))
    }

    fn answer(&self, error: &io::Error) -> Answer {
        broken(&format!("{}: {error}", self.config.path.display()))
    }
}
