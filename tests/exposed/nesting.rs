//! Scenario: values nested a hundred thousand deep, as protobuf and as JSON, plain and compressed.
//! Guarantee: what would be kept is refused as malformed, and neither stack nor memory nor honest clients suffer.

use spillway::otlp::inflate::Deflater;

use crate::honest::{Honest, assert_bounded, memory};
use crate::support::gateway::Home;
use crate::{NOWHERE, raw};

const DEPTH: usize = 100_000;
const PROTOBUF: &str = "content-type: application/x-protobuf\r\n";
const JSON: &str = "content-type: application/json\r\n";
const GZIP: &str = "content-encoding: gzip\r\n";

/// A message written from its end: whatever encloses it goes before it.
#[derive(Default)]
struct Backwards(Vec<u8>);

impl Backwards {
    /// Encloses what is there in a field of this tag.
    fn enclose(&mut self, tag: u8) {
        let mut length = self.0.len();
        let mut varint = Vec::new();
        while length > 0x7f {
            varint.push(length as u8 | 0x80);
            length >>= 7;
        }
        varint.push(length as u8);
        self.0.extend(varint.iter().rev());
        self.0.push(tag);
    }
}

/// An export request whose only record has a body of arrays in arrays.
fn protobuf() -> Vec<u8> {
    let mut message = Backwards::default();
    for _ in 0..DEPTH {
        message.enclose(0x0a); // ArrayValue.values
        message.enclose(0x2a); // AnyValue.array_value
    }
    for tag in [0x2a, 0x12, 0x12, 0x0a] {
        message.enclose(tag); // LogRecord.body, ScopeLogs.log_records, ResourceLogs.scope_logs, resource_logs
    }
    message.0.reverse();
    message.0
}

fn json() -> Vec<u8> {
    let (open, close) = ("{\"arrayValue\":{\"values\":[", "]}}");
    format!(
        "{{\"resourceLogs\":[{{\"scopeLogs\":[{{\"logRecords\":[{{\"body\":{}{}}}]}}]}}]}}",
        open.repeat(DEPTH),
        close.repeat(DEPTH)
    )
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn depth_is_refused() {
    let home = Home::new();
    let gateway = home.start(NOWHERE);
    let honest = Honest::start(&gateway).await;
    let (before, _) = memory(&gateway);
    // Unknown fields nest too: groups of protobuf, which are refused, and arrays in a member of JSON, which is skipped over.
    let (deep, groups) = (protobuf(), vec![0x1b; 2 * DEPTH]);
    let unknown = [b"{\"unknown\":".to_vec(), vec![b'['; DEPTH], vec![b']'; DEPTH], b"}".to_vec()].concat();
    for (media, body, code) in
        [(PROTOBUF, &deep, 400), (PROTOBUF, &groups, 400), (JSON, &json(), 400), (JSON, &unknown, 200)]
    {
        assert_eq!(raw::post(gateway.http, media, body).await, code, "{media}");
        let packed = Deflater::new().gzip(body);
        assert_eq!(raw::post(gateway.http, &format!("{media}{GZIP}"), &packed).await, code, "{media}, gzip");
    }
    honest.stop().await;
    assert_eq!(gateway.metric("spillway_received_requests_total", &["outcome=\"malformed\""]), 6.0);
    assert_bounded(&gateway, before, 96);
}
