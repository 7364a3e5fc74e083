//! What the gateway sends of itself: the spans of its exports, and its heartbeat. Neither goes through the queue: who looks for them
//! wants to know how things are now.

pub(super) mod heartbeat;
pub(super) mod traces;

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::batch::{Batch, BatchId, Encoding, Key, Signal};
use crate::otlp::answer::Answer;
use crate::otlp::tag::Tags;
use crate::otlp::values::text;
use crate::target::{Shipment, Target};

/// Makes shipments of what is our own, and names them, so that no hub takes one for another's repeat.
#[derive(Debug)]
struct Own {
    tags: Arc<Tags>,
    /// In place of a store's id.
    name: u64,
    sent: u64,
}

impl Own {
    fn new(tags: Arc<Tags>) -> Own {
        Own { tags, name: rand::random(), sent: 0 }
    }

    /// Sends a request once.
    async fn send(&mut self, to: &dyn Target, signal: Signal, items: usize, request: Vec<u8>) -> Answer {
        self.sent += 1;
        let body = self.tags.apply(&request).unwrap_or(request);
        let batch = Batch {
            signal,
            encoding: Encoding::Identity,
            items: u32::try_from(items).unwrap_or(u32::MAX),
            inflated_len: u32::try_from(body.len()).unwrap_or(u32::MAX),
            received_at_ms: 0,
            headers: [].into(),
            body: body.into(),
        };
        let id = BatchId { store: self.name, epoch: 0, signal, key: Key::new(self.sent) };
        to.send(&Shipment { batch, id, along: Vec::new(), replay: false }).await
    }
}

/// The resource of what is our own; the cluster's attributes are added as to everybody's.
fn resource() -> Option<Resource> {
    let attributes = [("service.name", "spillway"), ("service.version", env!("CARGO_PKG_VERSION"))];
    let attributes = attributes.map(|(key, value)| text(key, value)).to_vec();
    Some(Resource { attributes, ..Resource::default() })
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope { name: "spillway".to_owned(), ..InstrumentationScope::default() })
}
