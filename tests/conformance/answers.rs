//! What every server has to take, and how it says so: SRV-01 to SRV-09, SRV-20 to SRV-23, SRV-29.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message;
use spillway::batch::{Encoding, Signal};
use spillway::otlp::inflate::Inflater;

use crate::peer::{Answer, Carried, Peer, Way, to_json};
use crate::support::grpc::framed;
use crate::support::samples::{encoded, request};

/// OK, nothing rejected, in the encoding of the request. Says whether `partial_success` is set all the same.
pub(crate) fn accepted(way: Way, answer: &Answer) -> bool {
    let body = match answer {
        Answer::Grpc(answer) => {
            assert_eq!((answer.http, answer.status()), (200, 0), "{answer:?}");
            assert!(answer.headers["content-type"].to_str().unwrap().starts_with("application/grpc"));
            let encoding =
                answer.headers.get("grpc-encoding").and_then(|name| Encoding::from_wire(name.to_str().unwrap()));
            let encoding = if answer.body[0] == 1 { encoding.unwrap() } else { Encoding::Identity };
            Inflater::new().inflate(encoding, &answer.body[5..], 4 << 20).unwrap().bytes.to_vec()
        }
        Answer::Http(answer) => {
            assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
            assert!(answer.header("content-type").starts_with(way.content_type()), "{answer:?}");
            answer.body.clone()
        }
    };
    // Those of the other signals differ in name only.
    let response: ExportLogsServiceResponse = match way.by {
        Carried::Json => serde_json::from_slice(&body).unwrap(),
        _ => ExportLogsServiceResponse::decode(&body[..]).unwrap(),
    };
    let partial = response.partial_success;
    assert_eq!(partial.as_ref().map_or(0, |partial| partial.rejected_log_records), 0);
    partial.is_some()
}

/// A request that is taken whole.
pub(crate) async fn unset(peer: Peer, way: Way) {
    for signal in Signal::ALL {
        let answer = peer.export(way, signal, &request(signal, 1, 0)).await;
        assert!(!accepted(way, &answer), "partial_success is set");
        peer.taken(signal).await;
    }
}

/// Requests of each signal, small and of some hundred kilobytes.
pub(crate) async fn taken(peer: Peer, way: Way) {
    for signal in Signal::ALL {
        for (items, bytes) in [(1, 0), (300, 1000)] {
            let protobuf = request(signal, items, bytes);
            accepted(way, &peer.export(way, signal, &protobuf).await);
            if let Some((count, stored)) = peer.taken(signal).await {
                assert_eq!(count as usize, items);
                assert!(same(way, signal, &stored, &protobuf), "what was taken in is not what was sent");
            }
        }
    }
}

/// Whether two requests are the same: byte by byte, unless one was JSON on its way.
fn same(way: Way, signal: Signal, stored: &[u8], sent: &[u8]) -> bool {
    stored == sent || (way.by == Carried::Json && to_json(signal, stored) == to_json(signal, sent))
}

/// Encodings that nobody registered for OTLP.
pub(crate) async fn other_encodings(peer: Peer, way: Way) {
    for name in ["br", "deflate", "snappyish"] {
        match way.by {
            Carried::Grpc => {
                let path = Signal::Logs.grpc_path();
                let answer =
                    peer.grpc().await.call(path, &[("grpc-encoding", name)], &[&framed(1, b"x")]).await.unwrap();
                assert_eq!(answer.status(), 12, "{answer:?}");
                let taken = answer.trailers["grpc-accept-encoding"].to_str().unwrap();
                assert!(taken.contains("gzip") && taken.contains("zstd"), "{taken}");
            }
            _ => {
                let headers = [("content-type", way.content_type()), ("content-encoding", name)];
                let answer = peer.http().await.post("/v1/logs", &headers, b"x").await;
                assert_eq!(answer.status, 415, "{answer:?}");
                let taken = answer.header("accept-encoding");
                assert!(taken.contains("gzip") && taken.contains("zstd"), "{taken}");
            }
        }
    }
}

/// Requests without items, with and without a resource.
pub(crate) async fn empty(peer: Peer, way: Way) {
    for signal in Signal::ALL {
        for protobuf in [&b""[..], b"\x0a\x00"] {
            accepted(way, &peer.export(way, signal, protobuf).await);
        }
    }
    assert!(peer.took_nothing().await, "an empty request was queued");
}

/// Both encodings on one connection, with parameters and in any case.
pub(crate) async fn one_port(peer: Peer, way: Way) {
    let mut http = peer.http().await;
    let headers: Vec<_> = way.headers().into_iter().skip(1).collect();
    for content_type in
        [way.content_type(), &way.content_type().to_uppercase(), &format!("{}; charset=utf-8", way.content_type())]
    {
        let headers = [&[("content-type", content_type)][..], &headers].concat();
        let body = if way.by == Carried::Json { &b"{}"[..] } else { b"" };
        let answer = http.post("/v1/logs", &headers, &encoded(way.encoding, body)).await;
        assert_eq!(answer.status, 200, "{content_type}: {answer:?}");
    }
}

/// A body in two gzip members, or zstd frames.
pub(crate) async fn several_members(peer: Peer, way: Way) {
    let protobuf = request(Signal::Logs, 50, 500);
    let plain = if way.by == Carried::Json { to_json(Signal::Logs, &protobuf) } else { protobuf.clone() };
    let (head, tail) = plain.split_at(plain.len() / 2);
    let body = [encoded(way.encoding, head), encoded(way.encoding, tail)].concat();
    accepted(way, &peer.send_raw(way, Signal::Logs, &body).await);
    if let Some((count, stored)) = peer.taken(Signal::Logs).await {
        assert_eq!(count, 50);
        assert!(same(way, Signal::Logs, &stored, &protobuf), "a part is missing");
    }
}

/// grpc.health.v1: the server, its services, and one that it does not have.
pub(crate) async fn health(peer: Peer, _: Way) {
    const CHECK: &str = "/grpc.health.v1.Health/Check";
    let grpc = peer.grpc().await;
    let answer = grpc.call(CHECK, &[], &[&framed(0, b"")]).await.unwrap();
    assert_eq!((answer.status(), &answer.body[..]), (0, &framed(0, &[0x08, 0x01])[..]));
    let unknown = grpc.call(CHECK, &[], &[&framed(0, b"\x0a\x04pets")]).await.unwrap();
    assert_eq!(unknown.status(), 5, "{unknown:?}");
}

/// The ways that are compressed.
pub(crate) fn compressed(way: Way) -> bool {
    way.encoding != Encoding::Identity
}
