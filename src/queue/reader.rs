//! The reading thread: everything that is read from disk while the gateway runs, off the runtime's threads.
//!
//! Reads go in slices bounded in bytes; a recount advances a step at a time between them, so that neither holds the other.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::codec::{record, twin::Twin};
use super::error::StoreError;
use super::inbox::End;
use super::lanes::{Held, Job, Origin, SLICE_BATCHES, Slice, Stored};
use super::letters;
use super::out::Hold;
use super::recount::Recounting;
use super::shared::{Fuse, Shared};
use super::snapshot::Recount;
use super::store::{Engine, Family, View, keys};
use crate::batch::{Key, Signal};

/// After a failed read the same place is left alone for this long.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Something to read.
#[derive(Debug)]
pub(super) enum Errand {
    /// A slice of a signal's backlog, for its lanes.
    Slice(Job),
    /// One batch, for whoever waits.
    One { signal: Signal, key: Key, parked: bool, reply: oneshot::Sender<Result<Stored, Missing>> },
    /// A count of the whole index.
    Recount(oneshot::Sender<Result<[Recount; 3], StoreError>>),
    /// A look into the store on behalf of a person, of some milliseconds.
    Look(Look),
    /// The end.
    Stop,
}

/// What a person wants to know; it answers by itself.
pub(super) struct Look(pub(super) Box<Looking>);

type Looking = dyn FnOnce(&dyn Engine, &Shared) + Send;

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Look")
    }
}

/// Why a batch was not read.
#[derive(Debug)]
pub(super) enum Missing {
    /// What lies there is not what was written; the bytes, if there are any.
    Corrupt { why: String, bytes: Bytes },
    /// It could not be read now.
    Failed(StoreError),
}

/// Runs errands until [`Errand::Stop`].
pub(super) fn run(engine: &dyn Engine, shared: &Arc<Shared>, errands: &mpsc::Receiver<Errand>) {
    let _fuse = Fuse(shared);
    let mut recount: Option<Recounting<'_>> = None;
    loop {
        let errand = match recount.take().and_then(|recount| recount.step(|error| met(shared, error))) {
            None => match errands.recv() {
                Ok(errand) => errand,
                Err(_) => return,
            },
            Some(going_on) => {
                recount = Some(going_on);
                match errands.try_recv() {
                    Ok(errand) => errand,
                    Err(mpsc::TryRecvError::Empty) => continue,
                    Err(mpsc::TryRecvError::Disconnected) => return,
                }
            }
        };
        match errand {
            Errand::Slice(job) => read_slice(engine, shared, &job),
            Errand::One { signal, key, parked: false, reply } => answer(shared, reply, read_one(engine, signal, key)),
            Errand::One { signal, key, parked: true, reply } => answer(shared, reply, read_parked(engine, signal, key)),
            Errand::Recount(reply) => match &mut recount {
                Some(recount) => recount.join(reply),
                None => recount = Some(Recounting::begin(engine, reply)),
            },
            Errand::Look(Look(look)) => look(engine, shared),
            Errand::Stop => return,
        }
    }
}

/// Damage of the store itself is not waited out: it is closed, and salvaged before it is opened again.
fn met(shared: &Shared, error: &StoreError) {
    if error.is_damaged() {
        shared.fail(error);
    }
}

fn answer(shared: &Shared, reply: oneshot::Sender<Result<Stored, Missing>>, outcome: Result<Stored, Missing>) {
    if let Err(Missing::Failed(error)) = &outcome {
        met(shared, error);
    }
    let _ = reply.send(outcome);
}

fn read_slice(engine: &dyn Engine, shared: &Arc<Shared>, job: &Job) {
    shared.await_reclaim(job.signal);
    let outcome = slice(engine, job);
    let mut lanes = shared.lanes(job.signal);
    match outcome {
        Ok((slice, corrupt)) => {
            if lanes.install(job.origin, job.generation, slice) {
                for (key, held, why, bytes) in corrupt {
                    let number = lanes.lease(key, held);
                    shared.inbox.end([End {
                        signal: job.signal,
                        key,
                        number,
                        how: letters::corrupt(&why, bytes, &held),
                        _hold: Some(Hold::new(shared, job.signal, held.weight)),
                    }]);
                }
            }
        }
        Err(error) if error.is_damaged() => {
            drop(lanes);
            return met(shared, &error); // whoever waits is woken by that, and the lanes are made anew
        }
        Err(error) => {
            if let Some(held_back) = shared.unread.slices.tell() {
                tracing::error!(signal = %job.signal, %error, held_back, "the backlog cannot be read; trying every 5 s");
            }
            lanes.read_failed(job.origin, job.generation, Instant::now() + AFTER_FAILURE);
        }
    }
    drop(lanes);
    shared.read[job.signal.index()].notify_waiters();
}

type Corrupt = (Key, Held, String, Bytes);

/// Reads the index of a range until a slice is full, then the bodies: what is skipped costs no body.
fn slice(engine: &dyn Engine, job: &Job) -> Result<(Slice, Vec<Corrupt>), StoreError> {
    let (index, reached) = index(engine, job)?;
    let (mut found, mut corrupt) = (Vec::with_capacity(index.len()), Vec::new());
    for (key, twin) in index {
        match read_one(engine, job.signal, key) {
            Ok(stored) => found.push(stored),
            Err(Missing::Corrupt { why, bytes }) => {
                let owed = job.origin == Origin::Owed;
                corrupt.push((key, Held::new(twin.items, twin.weight, owed), why, bytes));
            }
            Err(Missing::Failed(error)) => return Err(error),
        }
    }
    Ok((Slice { found, reached }, corrupt))
}

fn index(engine: &dyn Engine, job: &Job) -> Result<(Vec<(Key, Twin)>, Key), StoreError> {
    let Job { signal, range, skip, .. } = job;
    let (mut index, mut bytes, mut reached) = (Vec::new(), 0, range.end);
    let (from, to) = (keys::of(*signal, range.start), keys::of(*signal, range.end));
    let mut garbled = Ok(());
    engine.walk(Family::Index, from.as_ref(), to.as_ref(), &mut |key, value| {
        let Some((_, key)) = keys::parse(key) else {
            return ControlFlow::Continue(());
        };
        if skip.binary_search(&key).is_ok() {
            return ControlFlow::Continue(());
        }
        match Twin::decode(value) {
            Ok(twin) => {
                bytes += twin.weight;
                if index.len() >= SLICE_BATCHES || (bytes > job.bytes && !index.is_empty()) {
                    reached = key;
                    return ControlFlow::Break(());
                }
                index.push((key, twin));
                ControlFlow::Continue(())
            }
            Err(error) => {
                garbled = Err(StoreError::unreadable(format_args!("index entry {key}"), &error));
                ControlFlow::Break(())
            }
        }
    })?;
    garbled.map(|()| (index, reached))
}

/// Reads one batch. What the store itself finds corrupt is corrupt; any other failure may pass.
pub(super) fn read_one(engine: &dyn View, signal: Signal, key: Key) -> Result<Stored, Missing> {
    decode(key, engine.get(Family::Records(signal), key.encode().as_ref()))
}

/// The same of one that lies out of the line.
pub(super) fn read_parked(engine: &dyn View, signal: Signal, key: Key) -> Result<Stored, Missing> {
    decode(key, engine.get(Family::Parked, keys::of(signal, key).as_ref()))
}

fn decode(key: Key, value: Result<Option<Vec<u8>>, StoreError>) -> Result<Stored, Missing> {
    let value = match value {
        Ok(Some(value)) => value,
        Ok(None) => return Err(Missing::Corrupt { why: "the record is not there".to_owned(), bytes: Bytes::new() }),
        Err(error) if error.is_corrupt() => {
            return Err(Missing::Corrupt { why: error.to_string(), bytes: Bytes::new() });
        }
        Err(error) => return Err(Missing::Failed(error)),
    };
    match record::decode(value) {
        Ok((batch, epoch)) => Ok(Stored { key, epoch, batch }),
        Err((garbled, bytes)) => Err(Missing::Corrupt { why: garbled.to_string(), bytes }),
    }
}
