//! Spans of the gateway's own exports: one of kind CLIENT for each request that is sampled, and the trace context that the request
//! carries.
//!
//! Whoever is not sampled costs one random number, and nothing where self-tracing is off. Spans that ended wait in a bounded channel;
//! when that is full they are lost, not waited for. Where they go is the composition root's affair.

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::{Span, Status, span, status};
use tokio::sync::mpsc;

use super::Shipment;
use crate::batch::Signal;
use crate::config::{NetworkConfig, Protocol, TargetConfig};
use crate::otlp::answer::Answer;
use crate::otlp::values::{nanos, number, text};

/// Spans that wait to be sent at most; about half a kilobyte each.
const WAITING: usize = 2048;

/// W3C trace context, level 1.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Of what a target says in an error, so many bytes stay with the span.
const MESSAGE: usize = 512;

/// `SpanFlags`: sampled; and that the context of the parent came over the network, known and true.
const SAMPLED: u32 = 1;
const REMOTE_PARENT: u32 = 0x300;

/// Decides which requests are traced, and takes in their spans.
#[derive(Debug)]
pub struct Tracer {
    /// A request is traced whose random number is below.
    below: u64,
    source: String,
    ended: mpsc::Sender<Span>,
}

impl Tracer {
    /// Traces a share of the requests, in [0, 1], of the cluster of that name. The spans come out of the receiver.
    pub fn new(sample: f64, source_cluster: &str) -> (Arc<Tracer>, mpsc::Receiver<Span>) {
        let (ended, spans) = mpsc::channel(WAITING);
        // A float of 1.0 saturates: every number but the very last is below.
        let below = (sample.clamp(0.0, 1.0) * u64::MAX as f64) as u64;
        (Arc::new(Tracer { below, source: source_cluster.to_owned(), ended }), spans)
    }
}

/// What every span of a target has in common.
pub(super) struct Traced {
    tracer: Arc<Tracer>,
    protocol: Protocol,
    /// Name of the spans.
    name: String,
    /// Of each signal's spans.
    attributes: [Vec<KeyValue>; 3],
}

/// A request under way, and its span.
pub(super) struct Underway<'a> {
    traced: &'a Traced,
    span: Span,
}

impl Traced {
    /// `hosts` are those of each signal's endpoint.
    pub(super) fn new(
        tracer: Arc<Tracer>,
        config: &TargetConfig,
        network: &NetworkConfig,
        hosts: &[String; 3],
    ) -> Traced {
        let cluster = if config.cluster.is_empty() { &config.name } else { &config.cluster };
        let name = match network.protocol {
            Protocol::OtlpGrpc => "cross-cluster.grpc.Export".to_owned(),
            Protocol::OtlpHttp => format!("cross-cluster.{cluster}"),
        };
        let attributes = Signal::ALL.map(|signal| {
            let (service, method) = signal.grpc_path()[1..].split_once('/').unwrap_or_default();
            let call = match network.protocol {
                Protocol::OtlpGrpc => vec![("rpc.system", "grpc"), ("rpc.service", service), ("rpc.method", method)],
                Protocol::OtlpHttp => vec![("http.request.method", "POST"), ("url.path", signal.http_path())],
            };
            let ends = [
                ("cross_cluster.source", tracer.source.as_str()),
                ("cross_cluster.target", cluster),
                ("spillway.target", &config.name),
                ("server.address", &hosts[signal.index()]),
                ("spillway.signal", signal.as_str()),
            ];
            let known = call.into_iter().chain(ends).filter(|(_, value)| !value.is_empty());
            known.map(|(key, value)| text(key, value)).collect()
        });
        Traced { tracer, protocol: network.protocol, name, attributes }
    }

    /// Begins the span of a request, if it is one that is traced.
    pub(super) fn begin(&self, shipment: &Shipment) -> Option<Underway<'_>> {
        if rand::random::<u64>() >= self.tracer.below {
            return None;
        }
        let batch = &shipment.batch;
        let parent = batch.headers.iter().find(|(name, _)| **name == *TRACEPARENT.as_str());
        let parent = parent.and_then(|(_, value)| Context::read(value));
        let mut attributes = self.attributes[batch.signal.index()].clone();
        attributes.push(number("spillway.items", i64::from(batch.items)));
        attributes.push(text("spillway.batch_id", &shipment.id.to_string()));
        let span = Span {
            trace_id: parent.as_ref().map_or_else(random_id, |parent| parent.trace.to_vec()),
            span_id: rand::random::<u64>().to_be_bytes().to_vec(),
            parent_span_id: parent.as_ref().map_or_else(Vec::new, |parent| parent.span.to_vec()),
            flags: SAMPLED | if parent.is_some() { REMOTE_PARENT } else { 0 },
            name: self.name.clone(),
            kind: span::SpanKind::Client.into(),
            start_time_unix_nano: nanos(SystemTime::now()),
            attributes,
            ..Span::default()
        };
        Some(Underway { traced: self, span })
    }
}

impl Underway<'_> {
    /// The request carries the span's context, in place of the client's.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
        let context = format!("00-{}-{}-01", hex(&self.span.trace_id), hex(&self.span.span_id));
        if let Ok(value) = HeaderValue::from_str(&context) {
            headers.insert(TRACEPARENT, value);
        }
    }

    /// Ends with the answer. A request that is given up has no span.
    pub(super) fn end(mut self, answer: &Answer) {
        let span = &mut self.span;
        span.end_time_unix_nano = nanos(SystemTime::now());
        span.attributes.extend(match (answer, self.traced.protocol) {
            (Answer::Grpc { code, .. }, _) => Some(number("rpc.grpc.status_code", i64::from(*code))),
            (Answer::Http { status, .. }, _) => Some(number("http.response.status_code", i64::from(*status))),
            (Answer::Accepted { .. }, Protocol::OtlpGrpc) => Some(number("rpc.grpc.status_code", 0)),
            (Answer::Accepted { .. }, Protocol::OtlpHttp) => Some(number("http.response.status_code", 200)),
            (Answer::Broken { .. }, _) => None,
        });
        if !matches!(answer, Answer::Accepted { .. }) {
            let mut message = answer.to_string();
            message.truncate(message.floor_char_boundary(MESSAGE));
            span.events.push(span::Event {
                time_unix_nano: span.end_time_unix_nano,
                name: "exception".to_owned(),
                attributes: vec![text("exception.type", &answer.status()), text("exception.message", &message)],
                ..span::Event::default()
            });
            span.status = Some(Status { message, code: status::StatusCode::Error.into() });
        }
        // What does not fit is lost: nothing waits for a trace.
        let _ = self.traced.tracer.ended.try_send(self.span);
    }
}

/// The context of a request that came in.
struct Context {
    trace: [u8; 16],
    span: [u8; 8],
}

impl Context {
    /// Reads a `traceparent` of any version (W3C trace context, section 3.2). `None` when it is none.
    fn read(value: &str) -> Option<Context> {
        let mut parts = value.trim().split('-');
        let version: [u8; 1] = unhex(parts.next()?)?;
        let (trace, span) = (unhex(parts.next()?)?, unhex(parts.next()?)?);
        let _flags: [u8; 1] = unhex(parts.next()?)?;
        let sound = version != [0xff] && trace != [0; 16] && span != [0; 8];
        (sound && (version != [0] || parts.next().is_none())).then_some(Context { trace, span })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lower case only, as the specification has it.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn random_id() -> Vec<u8> {
    rand::random::<u128>().to_be_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    /// Contexts as clients send them, and texts that are none.
    /// Guarantees that the first are read, those of later versions too, and the others ignored.
    #[test]
    fn contexts_are_read() {
        for (value, read) in [
            (format!("00-{TRACE}-b7ad6b7169203331-01"), true),
            (format!("00-{TRACE}-b7ad6b7169203331-00"), true),
            (format!("cc-{TRACE}-b7ad6b7169203331-01-what-comes-later"), true),
            (format!("00-{TRACE}-b7ad6b7169203331-01-more"), false),
            (format!("ff-{TRACE}-b7ad6b7169203331-01"), false),
            (format!("00-{}-b7ad6b7169203331-01", TRACE.to_uppercase()), false),
            (format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)), false),
            (format!("00-{TRACE}-0000000000000000-01"), false),
            (format!("00-{TRACE}-b7ad6b7169203331"), false),
            (format!("00-{TRACE}é-b7ad6b7169203331-01"), false),
            (String::new(), false),
        ] {
            let context = Context::read(&value);
            assert_eq!(context.is_some(), read, "{value}");
            if let Some(Context { trace, span }) = context {
                assert_eq!((hex(&trace), hex(&span)), (TRACE.to_owned(), "b7ad6b7169203331".to_owned()));
            }
        }
    }
}
