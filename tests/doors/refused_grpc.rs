//! Scenario: calls to the gRPC door that cannot be taken.
//! Guarantee: each gets the status that makes its client do the right thing, with the details that say what and where.

use spillway::batch::{Encoding, Signal};
use spillway::otlp::status::code;

use crate::support::Gateway;
use crate::support::gateway::config;
use crate::support::grpc::framed;
use crate::support::samples::{encoded, request};

/// Messages that are no export request, damaged gzip, broken frames.
/// Guarantees INVALID_ARGUMENT with what and where, BadRequest where there is a field to name, and no RetryInfo.
#[tokio::test]
async fn malformed_is_invalid_argument_with_what_and_where() {
    let gateway = Gateway::start().await;
    let grpc = gateway.grpc().await;
    let gzip = [("grpc-encoding", "gzip")];
    let mut damaged = encoded(Encoding::Gzip, &request(Signal::Logs, 9, 100));
    damaged[30] ^= 0xff;
    let half = &framed(0, &request(Signal::Logs, 9, 100))[..300];
    for (headers, body, said) in [
        (&[][..], &framed(0, b"\x0a\x05\x12\x03\x0a\x01"), "at byte"),
        (&[], &framed(0, b"{\"resourceLogs\": []}"), "JSON"),
        (&gzip, &framed(1, &damaged), "gzip"),
        (&gzip, &framed(1, b"no gzip at all, this"), "gzip"),
        (&[], &framed(1, b""), "grpc-encoding"),
        (&[], &framed(7, b""), "flag 7"),
        (&[], &half.to_vec(), "295 of"),
        (&[], &Vec::new(), "without a message"),
        (&[], &[framed(0, b""), framed(0, b"")].concat(), "more than one"),
    ] {
        let answer = grpc.call(Signal::Logs.grpc_path(), headers, &[body]).await.unwrap();
        assert_eq!((answer.http, answer.status()), (200, code::INVALID_ARGUMENT), "{answer:?}");
        assert!(answer.message().contains(said), "{} lacks {said}", answer.message());
        assert!(answer.body.is_empty());
        if let Some(details) = answer.details() {
            assert_eq!((details.code, details.delay), (code::INVALID_ARGUMENT, None));
            assert!(details.violation.is_some());
        }
    }
    assert_eq!(gateway.count("grpc", Signal::Logs, "malformed"), 9);
    let malformed = grpc.call(Signal::Logs.grpc_path(), &[], &[&framed(0, b"\x0a\x01")]).await.unwrap();
    assert!(malformed.details().unwrap().violation.is_some());
    assert!(gateway.stored_nothing().await);
}

/// Bodies larger than the limit: on the wire, announced but not sent, and inflated.
/// Guarantees RESOURCE_EXHAUSTED without RetryInfo, in words that say it is the size.
#[tokio::test]
async fn over_the_limit_is_resource_exhausted_without_retry_info() {
    let mut config = config();
    config.grpc.as_mut().unwrap().max_request = 1 << 20;
    let gateway = Gateway::start_with(config).await;
    let grpc = gateway.grpc().await;
    let large = request(Signal::Logs, 20, 100_000);
    let packed = encoded(Encoding::Gzip, &large);
    let bomb = encoded(Encoding::Gzip, &vec![0; 100 << 20]);
    assert!(packed.len() < 1 << 20 && bomb.len() < 1 << 20);
    for (flag, body) in [(0, &large), (1, &packed), (1, &bomb)] {
        let answer =
            grpc.call(Signal::Logs.grpc_path(), &[("grpc-encoding", "gzip")], &[&framed(flag, body)]).await.unwrap();
        assert_eq!((answer.http, answer.status()), (200, code::RESOURCE_EXHAUSTED), "{answer:?}");
        assert!(answer.message().contains("larger than the limit of 1048576 bytes"), "{}", answer.message());
        assert!(answer.details().is_none());
    }
    let (response, _stream) = grpc.begin(Signal::Logs, &[0, 0, 0x20, 0, 0]).await;
    assert_eq!(response.await.unwrap().headers()["grpc-status"], "8", "by its announced length alone");
    assert_eq!(gateway.count("grpc", Signal::Logs, "too_large"), 4);
    assert!(grpc.export(Signal::Logs, Encoding::Identity, &request(Signal::Logs, 1, 0)).await.is_full_success());
}

/// Encodings that are not taken, and methods that are not there.
/// Guarantees UNIMPLEMENTED, for the first with the list of encodings that are.
#[tokio::test]
async fn what_is_not_known_is_unimplemented() {
    let gateway = Gateway::start().await;
    let grpc = gateway.grpc().await;
    for encoding in ["br", "deflate", "snappy", "gzip, gzip"] {
        let answer =
            grpc.call(Signal::Traces.grpc_path(), &[("grpc-encoding", encoding)], &[&framed(1, b"x")]).await.unwrap();
        assert_eq!(answer.status(), code::UNIMPLEMENTED);
        assert_eq!(answer.trailers["grpc-accept-encoding"], "identity,gzip,zstd");
        assert!(answer.message().contains(encoding));
    }
    assert_eq!(gateway.count("grpc", Signal::Traces, "unsupported"), 4);
    for path in [
        "/",
        "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
        "/v1/traces",
        "/grpc.health.v1.Health/Watch",
    ] {
        let answer = grpc.call(path, &[], &[&framed(0, b"")]).await.unwrap();
        assert_eq!((answer.http, answer.status()), (200, code::UNIMPLEMENTED), "{path}");
        assert!(answer.message().contains(path), "{}", answer.message());
    }
}

/// Calls that are refused before their bodies are read, on one connection, together four times its window.
/// Guarantees that what was sent for nothing is taken off the window again: the connection goes on.
#[tokio::test]
async fn refused_bodies_do_not_use_up_the_connection() {
    let gateway = Gateway::start().await;
    let grpc = gateway.grpc().await;
    let body = request(Signal::Logs, 10, 100_000);
    let refused = [("grpc-encoding", "br")];
    for _ in 0..64 {
        let answer = grpc.call(Signal::Logs.grpc_path(), &refused, &[&framed(1, &body)]).await.unwrap();
        assert_eq!(answer.status(), code::UNIMPLEMENTED);
    }
    assert!(grpc.export(Signal::Logs, Encoding::Identity, &body).await.is_full_success());
}

/// What is no gRPC: another content type over HTTP/2, and OTLP/HTTP sent to this port.
/// Guarantees 415 and a sentence about the doors, rather than a connection that ends without a word.
#[tokio::test]
async fn who_mistakes_the_door_is_told_so() {
    let gateway = Gateway::start().await;
    let mut http = crate::support::http::Client::connect(gateway.grpc).await;
    let answer =
        http.post("/v1/logs", &[("content-type", "application/x-protobuf")], &request(Signal::Logs, 1, 0)).await;
    assert_eq!((answer.status, answer.header("content-type")), (415, "text/plain; charset=utf-8"));
    assert!(String::from_utf8_lossy(&answer.body).contains("OTLP/gRPC"));
}
