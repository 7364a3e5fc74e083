//! Inspection: one inflate and one skim over a body. Nine tenths of what a request costs is spent here.
//!
//! It runs on the runtime's own thread, where the bytes have just been, in buffers that belong to the thread and are used
//! again and again: no hand-over, no allocation, and as many buffers as threads, whatever the number of clients. That
//! holds up to [`INLINE`]: at about 1 GB/s the thread is back within a few milliseconds. What is larger goes to the
//! blocking threads, one at a time, with a buffer that is given back: so memory has room for *one* largest request, and
//! the doors stay awake meanwhile.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::refusal::Refusal;
use super::stats::Stats;
use crate::batch::{Encoding, Signal};
use crate::otlp::inflate::{Deflater, Inflater, stated_len};
use crate::otlp::json;
use crate::otlp::media::Media;
use crate::otlp::origin::{CLUSTER, Origin};
use crate::otlp::skim::{Skim, skim};
use crate::otlp::tag::Tags;

/// Largest inflated body that is inspected on the spot; just below what an [`Inflater`] keeps as its buffer.
const INLINE: usize = (4 << 20) - (4 << 10);

/// The same for JSON, which is read several times more slowly.
const INLINE_JSON: usize = 1 << 20;

/// What a body is said to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub(super) signal: Signal,
    pub(super) media: Media,
    pub(super) encoding: Encoding,
    /// How it is compressed where it was, and cannot stay as it came.
    pub(super) packing: Encoding,
}

/// A body that is what it was said to be, as it goes into the queue.
#[derive(Debug)]
pub(super) struct Inspected {
    /// Protobuf: the client's own bytes, but for JSON, gzip or zstd of several members, and resources that lack a tag.
    pub(super) body: Bytes,
    /// How it is compressed.
    pub(super) encoding: Encoding,
    /// Items inside; may be 0.
    pub(super) items: u32,
    /// Length of the protobuf, inflated.
    pub(super) inflated: u32,
}

/// Inspects bodies for both doors.
#[derive(Debug, Clone)]
pub(super) struct Inspector {
    /// The turn of a large body.
    large: Arc<Semaphore>,
    tags: Arc<Tags>,
    stats: Arc<Stats>,
}

impl Inspector {
    /// One that puts these tags on resources that lack them, and counts the spans of each cluster.
    pub(super) fn new(tags: Arc<Tags>, stats: Arc<Stats>) -> Inspector {
        // Told from the start, and first of all.
        stats.clusters.count(tags.becomes(CLUSTER, ""), 0, 0);
        Inspector { large: Arc::new(Semaphore::new(1)), tags, stats }
    }

    /// Checks `body` against `form`, inflating to at most `limit` bytes. A large body waits its turn for at most
    /// `patience`.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] or [`Refusal::Undecodable`], [`Refusal::TooLarge`], [`Refusal::Overloaded`] when its turn
    /// did not come.
    pub(super) async fn inspect(
        &self,
        form: Form,
        body: Bytes,
        limit: usize,
        patience: Duration,
    ) -> Result<Inspected, Refusal> {
        let inline = limit.min(if form.media == Media::Json { INLINE_JSON } else { INLINE });
        if stated_len(form.encoding, &body).unwrap_or(0) <= inline {
            match TOOLS.with_borrow_mut(|tools| tools.inspect(form, &body, inline, &self.tags, &self.stats)) {
                // Larger than its trailer says, or of several members.
                Err(Refusal::TooLarge { .. }) if inline < limit => {}
                done => return done,
            }
        }
        let turn = timeout(patience, Arc::clone(&self.large).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or(Refusal::Overloaded)?;
        let (tags, stats) = (Arc::clone(&self.tags), Arc::clone(&self.stats));
        let inspection = tokio::task::spawn_blocking(move || {
            let result = Tools::default().inspect(form, &body, limit, &tags, &stats);
            drop(turn);
            result
        });
        inspection.await.unwrap_or_else(|_| Err(Refusal::Bug))
    }
}

thread_local! {
    static TOOLS: RefCell<Tools> = RefCell::new(Tools::default());
}

/// The buffers of one thread.
#[derive(Debug, Default)]
struct Tools {
    inflater: Inflater,
    deflater: Option<Deflater>,
}

impl Tools {
    fn inspect(
        &mut self,
        form: Form,
        body: &Bytes,
        limit: usize,
        tags: &Tags,
        stats: &Stats,
    ) -> Result<Inspected, Refusal> {
        let plain = self.inflater.inflate(form.encoding, body, limit)?;
        let json = match form.media {
            Media::Protobuf => None,
            Media::Json => Some(json::from_json(form.signal, plain.bytes)?),
        };
        let protobuf = json.as_deref().unwrap_or(plain.bytes);
        let Skim { items, origins } = skim(form.signal, protobuf)?;
        for Origin { cluster, spans, without_context } in origins {
            stats.clusters.count(tags.becomes(CLUSTER, cluster), spans, without_context);
        }
        let tagged = tags.apply(protobuf);
        // Where the client's own bytes will not do.
        let made = tagged.or(json);
        let inflated = len(made.as_deref().unwrap_or(plain.bytes), limit)?;
        let (encoding, body) = match (made, form.encoding) {
            (None, encoding) if plain.single => (encoding, body.clone()),
            // Compressed where the client thought that worth while, and only there.
            (Some(made), Encoding::Identity) => (Encoding::Identity, Bytes::from(made)),
            // Many receivers read the first member only, so several are stored as one.
            (made, _) => {
                let protobuf = made.as_deref().unwrap_or(plain.bytes);
                let packed = self.deflater.get_or_insert_default().compress(form.packing, protobuf);
                (form.packing, Bytes::from(packed))
            }
        };
        Ok(Inspected { body, encoding, items, inflated })
    }
}

fn len(bytes: &[u8], limit: usize) -> Result<u32, Refusal> {
    u32::try_from(bytes.len()).map_err(|_| Refusal::TooLarge { limit })
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use prost::Message;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(4);
    const LIMIT: usize = 64 << 20;

    /// An export request of so many log records with bodies of so many bytes.
    fn request(records: usize, bytes: usize) -> ExportLogsServiceRequest {
        let body = Some(AnyValue { value: Some(Value::StringValue("x".repeat(bytes))) });
        let log_records = vec![LogRecord { body, ..LogRecord::default() }; records];
        let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
        ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] }
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        Deflater::new().gzip(plain)
    }

    async fn inspect(media: Media, encoding: Encoding, body: &[u8], limit: usize) -> Result<Inspected, Refusal> {
        let form = Form { signal: Signal::Logs, media, encoding, packing: Encoding::Gzip };
        Inspector::new(Arc::default(), Arc::default())
            .inspect(form, Bytes::copy_from_slice(body), limit, PATIENCE)
            .await
    }

    fn inflated(body: &[u8]) -> Vec<u8> {
        Inflater::new().inflate(Encoding::Gzip, body, LIMIT).map(|inflated| inflated.bytes.to_vec()).unwrap()
    }

    /// Bodies of protobuf, plain and gzip, small and large.
    /// Guarantees that they are kept as they came, with their items and inflated length told.
    #[tokio::test]
    async fn protobuf_is_kept_as_it_came() {
        for (records, bytes) in [(0, 0), (3, 10), (100, 60_000)] {
            let plain = request(records, bytes).encode_to_vec();
            for (encoding, body) in [(Encoding::Identity, plain.clone()), (Encoding::Gzip, gzip(&plain))] {
                let found = inspect(Media::Protobuf, encoding, &body, LIMIT).await.unwrap();
                assert_eq!(found.body, body);
                assert_eq!((found.items as usize, found.inflated as usize), (records, plain.len()));
            }
        }
    }

    /// The same request as JSON, plain and gzip, small and large.
    /// Guarantees that it is kept as protobuf, compressed where the client compressed.
    #[tokio::test]
    async fn json_becomes_protobuf_in_the_encoding_it_came_in() {
        for (records, bytes) in [(3, 10), (40, 60_000)] {
            let request = request(records, bytes);
            let text = serde_json::to_vec(&request).unwrap();
            let plain = inspect(Media::Json, Encoding::Identity, &text, LIMIT).await.unwrap();
            assert_eq!(ExportLogsServiceRequest::decode(&plain.body[..]).unwrap(), request);
            assert_eq!((plain.items as usize, plain.inflated as usize), (records, plain.body.len()));
            let packed = inspect(Media::Json, Encoding::Gzip, &gzip(&text), LIMIT).await.unwrap();
            assert_eq!(inflated(&packed.body), plain.body);
            assert_eq!((packed.items, packed.inflated), (plain.items, plain.inflated));
        }
    }

    /// A request cut into two gzip members, the smaller of which comes last.
    /// Guarantees that one member with the whole request is kept, however large the first is.
    #[tokio::test]
    async fn gzip_of_several_members_is_kept_as_one() {
        for (records, bytes) in [(3, 10), (100, 60_000)] {
            let plain = request(records, bytes).encode_to_vec();
            let (head, tail) = plain.split_at(plain.len() - 5);
            let found =
                inspect(Media::Protobuf, Encoding::Gzip, &[gzip(head), gzip(tail)].concat(), LIMIT).await.unwrap();
            assert_eq!(libdeflate_one_member(&found.body, plain.len()), plain);
            assert_eq!(found.items as usize, records);
        }
    }

    /// Requests as gzip that have to be compressed again, where the targets take zstd: JSON, and one that lacks a tag; and one that
    /// does not have to be.
    /// Guarantees that those go on in zstd, and that the other stays as it came.
    #[tokio::test]
    async fn what_is_made_over_is_packed_as_the_targets_take_it() {
        let request = request(3, 10);
        let (plain, text) = (request.encode_to_vec(), serde_json::to_vec(&request).unwrap());
        let form =
            Form { signal: Signal::Logs, media: Media::Protobuf, encoding: Encoding::Gzip, packing: Encoding::Zstd };
        let json = Form { media: Media::Json, ..form };
        let tags = Tags::new([(CLUSTER, "aws-eu-west-1-prod-01")], false);
        for (tags, form, sent, packed) in [
            (Tags::default(), json, &text, Encoding::Zstd),
            (tags, form, &plain, Encoding::Zstd),
            (Tags::default(), form, &plain, Encoding::Gzip),
        ] {
            let stored = tags.apply(&plain).unwrap_or_else(|| plain.clone());
            let inspector = Inspector::new(Arc::new(tags), Arc::default());
            let found = inspector.inspect(form, gzip(sent).into(), LIMIT, PATIENCE).await.unwrap();
            assert_eq!((found.encoding, found.items), (packed, 3));
            let inflated = Inflater::new().inflate(packed, &found.body, LIMIT).map(|inflated| inflated.bytes.to_vec());
            let inflated = inflated.unwrap();
            assert_eq!(found.inflated as usize, inflated.len());
            let decode = |bytes: &[u8]| ExportLogsServiceRequest::decode(bytes).unwrap();
            assert_eq!(decode(&inflated), decode(&stored));
        }
    }

    /// Inflates the first member of `body` and nothing more.
    fn libdeflate_one_member(body: &[u8], len: usize) -> Vec<u8> {
        let mut plain = vec![0; len];
        let read = libdeflater::Decompressor::new().gzip_decompress(body, &mut plain).unwrap();
        plain.truncate(read);
        plain
    }

    /// Small bodies that inflate to more than the limit, with an honest trailer and with a lying one.
    /// Guarantees that they are refused for their size.
    #[tokio::test]
    async fn a_bomb_is_stopped_at_the_limit() {
        let mut bomb = gzip(&vec![0; 80 << 20]);
        for stated in [80_u32 << 20, 100, u32::MAX] {
            let trailer = bomb.len() - 4;
            bomb[trailer..].copy_from_slice(&stated.to_le_bytes());
            for limit in [LIMIT, 1 << 20] {
                let found = inspect(Media::Protobuf, Encoding::Gzip, &bomb, limit).await;
                assert!(matches!(found, Err(Refusal::TooLarge { limit: said }) if said == limit), "{found:?}");
            }
        }
    }

    /// Bodies that are no request at all.
    /// Guarantees a refusal that says where, small or large, and never a panic.
    #[tokio::test]
    async fn what_is_no_request_is_malformed() {
        let (broken, long) = ([0xff; 9].as_slice(), vec![0xff; 5 << 20]);
        for body in [broken, &long] {
            assert!(matches!(
                inspect(Media::Protobuf, Encoding::Identity, body, LIMIT).await,
                Err(Refusal::Malformed(_))
            ));
            assert!(matches!(inspect(Media::Json, Encoding::Identity, body, LIMIT).await, Err(Refusal::Malformed(_))));
            let found = inspect(Media::Protobuf, Encoding::Gzip, body, LIMIT).await;
            assert!(matches!(found, Err(Refusal::Undecodable(_))), "{found:?}");
        }
    }

    /// A large body while another has its turn for ever.
    /// Guarantees that it is refused as overload in time, and that small ones pass meanwhile.
    #[tokio::test(start_paused = true)]
    async fn a_large_body_waits_its_turn_only_so_long() {
        let inspector = Inspector::new(Arc::default(), Arc::default());
        let _turn = inspector.large.clone().acquire_owned().await.unwrap();
        let plain = Encoding::Identity;
        let form = Form { signal: Signal::Logs, media: Media::Protobuf, encoding: plain, packing: Encoding::Gzip };
        let large = Bytes::from(request(100, 60_000).encode_to_vec());
        let found = inspector.inspect(form, large, LIMIT, PATIENCE).await;
        assert!(matches!(found, Err(Refusal::Overloaded)), "{found:?}");
        let small = Bytes::from(request(1, 10).encode_to_vec());
        assert_eq!(inspector.inspect(form, small, LIMIT, PATIENCE).await.unwrap().items, 1);
    }
}
