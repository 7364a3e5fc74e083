//! Sends the spans of exports where `telemetry.traces.endpoint` says. That target traces nothing itself, so spans never tell of spans.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tracing::{info, warn};

use super::{Own, resource, scope};
use crate::batch::Signal;
use crate::otlp::answer::Answer;
use crate::otlp::tag::Tags;
use crate::target::Target;

/// Spans gather for so long.
const GATHER: Duration = Duration::from_secs(5);

/// Spans in a request at most.
const MOST: usize = 512;

/// At the end the last spans may take so long.
const LAST: Duration = Duration::from_secs(1);

/// Sends spans until `stop` turns true, and then what is left. What does not get through is not sent again.
pub(in crate::app) async fn run(
    mut ended: mpsc::Receiver<Span>,
    to: Arc<dyn Target>,
    tags: Arc<Tags>,
    mut stop: watch::Receiver<bool>,
) {
    let (mut own, mut well) = (Own::new(tags), true);
    let mut stopping = false;
    while !stopping {
        stopping = timeout(GATHER, stop.wait_for(|stop| *stop)).await.is_ok();
        let mut spans = Vec::new();
        while let Ok(span) = ended.try_recv() {
            spans.push(span);
            if spans.len() == MOST {
                send(&mut own, &*to, std::mem::take(&mut spans), &mut well, stopping).await;
            }
        }
        send(&mut own, &*to, spans, &mut well, stopping).await;
    }
}

async fn send(own: &mut Own, to: &dyn Target, spans: Vec<Span>, well: &mut bool, stopping: bool) {
    if spans.is_empty() {
        return;
    }
    let (count, spans) = (spans.len(), vec![ScopeSpans { scope: scope(), spans, ..ScopeSpans::default() }]);
    let spans = ResourceSpans { resource: resource(), scope_spans: spans, ..ResourceSpans::default() };
    let request = ExportTraceServiceRequest { resource_spans: vec![spans] }.encode_to_vec();
    let sent = own.send(to, Signal::Traces, count, request);
    let answer = match stopping {
        false => Some(sent.await),
        true => timeout(LAST, sent).await.ok(),
    };
    let took = matches!(answer, Some(Answer::Accepted { .. }));
    // Told when it begins and when it ends.
    match (std::mem::replace(well, took), &answer) {
        (true, Some(answer)) if !took => warn!(%answer, "telemetry.traces.endpoint does not take spans: they are lost"),
        (false, _) if took => info!("telemetry.traces.endpoint takes spans again"),
        _ => {}
    }
}
