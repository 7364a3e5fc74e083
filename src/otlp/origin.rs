//! Whose spans a request holds, and which of them lost the context of a caller in another cluster.
//!
//! The walk passes each span and each resource; once their structure is known to be sound, this looks into those that matter: into a
//! resource once, and into a span only where it is the server's side of a call and has no parent. Nothing is allocated for a span.

use super::fields::{Fields, Value, attribute};

/// The cluster, at a resource (OpenTelemetry semantic conventions, "Kubernetes").
pub const CLUSTER: &str = "k8s.cluster.name";

/// What spans are told of beyond [`MOST`] clusters.
pub const OTHER: &str = "other";

/// Clusters that are told apart, within a request and altogether: a bound on memory and on series.
pub const MOST: usize = 64;

/// At a span: the cluster that the call came from.
const SOURCE: &str = "cross_cluster.source";

/// Numbers of the fields `resource` of `ResourceSpans`, `attributes` of `Resource`, `attributes` of `Span`.
const RESOURCE: u32 = 1;
const OF_RESOURCE: u32 = 1;
const OF_SPAN: u32 = 9;

/// `SpanKind`: the side of a call that was called.
const SERVER: u32 = 2;
const CONSUMER: u32 = 5;

/// Spans of one cluster in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    /// [`CLUSTER`] of their resource, empty where it names none; [`OTHER`] beyond [`MOST`] of them.
    pub cluster: &'a str,
    /// How many.
    pub spans: u32,
    /// Of these, spans of kind SERVER or CONSUMER without a parent that name the cluster they were called from: there was a parent.
    pub without_context: u32,
}

/// What the walk has noted.
#[derive(Default)]
pub(super) struct Notes<'a> {
    pub(super) origins: Vec<Origin<'a>>,
    /// Of the resource that is being walked.
    without_context: u32,
    /// Of the span that is being walked.
    pub(super) span: SpanNotes,
}

/// Of a span's own fields, those that tell whether to look closer.
#[derive(Default)]
pub(super) struct SpanNotes {
    /// The low half of its number, which is what an enum of protobuf keeps.
    pub(super) kind: u32,
    pub(super) has_parent: bool,
}

impl<'a> Notes<'a> {
    /// A span was walked, and is sound.
    #[inline(always)]
    pub(super) fn span_ends(&mut self, span: &'a [u8]) {
        if !self.span.has_parent && matches!(self.span.kind, SERVER | CONSUMER) && came_from_afar(span) {
            self.without_context += 1;
        }
    }

    /// A `ResourceSpans` with so many spans was walked, and is sound.
    #[inline(never)]
    pub(super) fn resource_ends(&mut self, resource_spans: &'a [u8], spans: u32) {
        let without_context = std::mem::take(&mut self.without_context);
        if spans == 0 {
            return;
        }
        let mut cluster = cluster(resource_spans);
        if self.origins.len() >= MOST && self.origins.iter().all(|origin| origin.cluster != cluster) {
            cluster = OTHER;
        }
        match self.origins.iter_mut().find(|origin| origin.cluster == cluster) {
            Some(origin) => {
                origin.spans += spans;
                origin.without_context += without_context;
            }
            None => self.origins.push(Origin { cluster, spans, without_context }),
        }
    }
}

/// The cluster that the resource of a `ResourceSpans` names. A resource may come in pieces, which are one in the end.
fn cluster(resource_spans: &[u8]) -> &str {
    let pieces = Fields(resource_spans).flatten().filter(|field| field.number == RESOURCE);
    let attributes = pieces.filter_map(|piece| piece.message()).flat_map(|piece| Fields(piece).flatten());
    let mut pairs = attributes.filter(|field| field.number == OF_RESOURCE).filter_map(|field| field.message());
    pairs.find_map(|pair| text_of(pair, CLUSTER)).and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default()
}

#[inline(never)]
fn came_from_afar(span: &[u8]) -> bool {
    let attributes = Fields(span).flatten().filter(|field| field.number == OF_SPAN);
    attributes.filter_map(|field| field.message()).any(|pair| text_of(pair, SOURCE).is_some())
}

/// The text of an attribute that is called `key`, unless it is empty.
fn text_of<'a>(pair: &'a [u8], key: &str) -> Option<&'a [u8]> {
    match attribute(pair)? {
        (found, Value::Text(text)) if found == key.as_bytes() && !text.is_empty() => Some(text),
        _ => None,
    }
}
