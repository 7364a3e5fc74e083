//! The straight line of a request, the same for both transports: they frame what comes in and map what goes out.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::timeout_at;

use super::admission::Room;
use super::auth::Auth;
use super::body::Limits;
use super::budget::Budget;
use super::inspect::{Form, Inspected, Inspector};
use super::notice::Notices;
use super::refusal::Refusal;
use super::rules::{Allowed, Rules};
use super::stats::{Entry, Stats, Transport};
use crate::batch::{Batch, Encoding, Signal};
use crate::otlp::media::Media;
use crate::otlp::tag::Tags;
use crate::queue::Queue;

/// What every request of both doors shares.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) queue: Queue,
    pub(super) stats: Arc<Stats>,
    pub(super) rules: Arc<Rules>,
    auth: Arc<Auth>,
    inspector: Inspector,
    notices: Notices,
    no_headers: Headers,
}

/// Headers as a batch keeps them.
type Headers = Arc<[(Box<str>, Box<str>)]>;

/// One export request whose head was read, and whose body was not.
#[derive(Debug)]
pub(super) struct Call<S> {
    pub(super) transport: Transport,
    pub(super) signal: Signal,
    /// What its headers say of its body.
    pub(super) form: Result<(Media, Encoding), Refusal>,
    /// The client's own deadline, if it named one.
    pub(super) deadline: Option<Duration>,
    /// All of its headers.
    pub(super) headers: HeaderMap,
    /// What its connection may hold.
    pub(super) connection: Arc<Budget>,
    /// Its body.
    pub(super) source: S,
}

/// A body that is still on its way, in the frames of its transport.
pub(super) trait Source {
    /// Reads it to its end, taking room for it. The encoding is `encoding`, or none where the framing says so.
    fn read(
        self,
        encoding: Encoding,
        limits: Limits,
        room: &mut Room<'_>,
    ) -> impl Future<Output = Result<(Bytes, Encoding), Refusal>> + Send;
}

/// Takes one request to the queue. `Ok` means that it is as durable as `queue.durability` promises, or that it was empty.
///
/// # Errors
/// A [`Refusal`] for each way in which it is not taken. Everything is counted here.
///
/// Dropped in the middle, because the client went away, it counts as aborted; a batch that is on its way to the disk then
/// stays there.
pub(super) async fn accept(gate: &Gate, call: Call<impl Source>) -> Result<(), Refusal> {
    let mut entry = gate.stats.enter(call.transport, call.signal);
    let result = pass(gate, call, &mut entry).await;
    if let Err(refusal) = &result {
        gate.notices.tell(refusal);
    }
    entry.close(&result);
    result
}

async fn pass(gate: &Gate, call: Call<impl Source>, entry: &mut Entry<'_>) -> Result<(), Refusal> {
    let (signal, allowed) = (call.signal, gate.rules.now());
    let limits = allowed.limits(call.transport);

    // authenticate: of a stranger's request nothing else is looked at
    gate.auth.admit(&call.headers)?;

    // admit: nothing is read that could not be taken
    let (media, encoding) = call.form?;
    gate.queue.admits(signal)?;
    let head = call.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let mut room = gate.rules.admission.room(&call.connection, &gate.stats, call.deadline, head);

    // read
    let (body, encoding) = call.source.read(encoding, limits, &mut room).await?;
    let (received_at_ms, answer_by) = (now_ms(), room.answer_by());
    entry.arrived(body.len());

    // inspect
    let form = Form { signal, media, encoding, packing: allowed.packing(signal) };
    let Inspected { body, encoding, items, inflated: inflated_len } =
        gate.inspector.inspect(form, body, limits.size, room.patience()).await?;
    entry.read(items, inflated_len);
    if items == 0 {
        return Ok(());
    }

    // append
    let headers = gate.keep(&allowed, &call.headers);
    let batch = Batch { signal, encoding, items, inflated_len, received_at_ms, headers, body };
    match timeout_at(answer_by, gate.queue.append(batch)).await {
        Ok(appended) => appended.map(drop).map_err(Refusal::from),
        // It may be committed all the same, and the client's repeat be a duplicate then; but nobody was told OK.
        Err(_) => Err(Refusal::Unavailable("the disk did not answer in time")),
    }
}

impl Gate {
    /// The doors' common part, for requests into `queue`.
    pub(super) fn new(rules: Arc<Rules>, auth: Arc<Auth>, tags: Arc<Tags>, queue: Queue, stats: Arc<Stats>) -> Gate {
        let (inspector, notices) = (Inspector::new(tags, Arc::clone(&stats)), Notices::default());
        Gate { queue, stats, rules, auth, inspector, notices, no_headers: Arc::new([]) }
    }

    /// What a new connection may hold.
    pub(super) fn connection(&self) -> Arc<Budget> {
        Arc::new(self.rules.admission.connection())
    }

    /// The client's headers that stay with the batch. A value that is no text is left out.
    fn keep(&self, allowed: &Allowed, headers: &HeaderMap) -> Headers {
        if allowed.kept.is_empty() {
            return Arc::clone(&self.no_headers);
        }
        let values = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        allowed.kept.iter().flat_map(|name| values(name).map(|value| (name.as_str().into(), value.into()))).collect()
    }
}

/// Milliseconds since the Unix epoch; 0 on a machine whose clock stands before it.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
