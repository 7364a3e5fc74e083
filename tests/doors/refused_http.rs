//! Scenario: requests to the HTTP door that cannot be taken.
//! Guarantee: each gets the status code that makes its client do the right thing, and a google.rpc.Status in its own
//! encoding.

use spillway::batch::{Encoding, Signal};

use crate::support::Gateway;
use crate::support::gateway::config;
use crate::support::samples::{encoded, request};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

/// Bodies that are no export request, damaged gzip, gzip that is not named.
/// Guarantees 400 in the request's encoding, with what and where.
#[tokio::test]
async fn malformed_is_400_in_the_encoding_of_the_request() {
    let gateway = Gateway::start().await;
    let mut http = gateway.http().await;
    let packed = encoded(Encoding::Gzip, &request(Signal::Traces, 9, 100));
    let mut damaged = packed.clone();
    damaged[30] ^= 0xff;
    let gzip = ("content-encoding", "gzip");
    for (headers, body, said) in [
        (&[PROTOBUF][..], &b"\x0a\x05\x12\x03\x0a\x01"[..], "at byte"),
        (&[PROTOBUF], b"{}", "JSON"),
        (&[PROTOBUF], &packed, "gzip"),
        (&[PROTOBUF, gzip], &damaged, "gzip"),
        (&[PROTOBUF, gzip], &packed[..packed.len() - 9], "gzip"),
        (&[PROTOBUF, gzip], b"", "gzip"),
        (&[JSON, gzip], &damaged, "gzip"),
        (&[JSON], b"{\"resourceSpans\": [", "line 1"),
    ] {
        let answer = http.post("/v1/traces", headers, body).await;
        assert_eq!((answer.status, answer.header("content-type")), (400, headers[0].1), "{answer:?}");
        let error = answer.error();
        assert_eq!(error.code, 3);
        assert!(error.message.contains(said), "{} lacks {said}", error.message);
        assert_eq!(answer.header("retry-after"), "");
    }
    assert_eq!(gateway.count("http", Signal::Traces, "malformed"), 8);
}

/// Bodies over the limit: by their announced length though little is sent, in chunks without a length, and inflated.
/// Guarantees 413 for each, also for one that is sent to its end before the answer is read.
#[tokio::test]
async fn over_the_limit_is_413() {
    let mut config = config();
    config.http.as_mut().unwrap().max_request = 1 << 20;
    let gateway = Gateway::start_with(config).await;
    let bomb = encoded(Encoding::Gzip, &vec![0; 100 << 20]);
    let answer = gateway.http().await.post("/v1/logs", &[PROTOBUF, ("content-encoding", "gzip")], &bomb).await;
    assert_eq!(answer.status, 413);
    assert!(answer.error().message.contains("larger than the limit of 1048576 bytes"), "{answer:?}");

    for length in ["1048577", "9999999999", "18446744073709551613"] {
        let mut http = gateway.http().await;
        http.head("POST", "/v1/logs", &[JSON, ("content-length", length)]).await;
        http.send(b"{}").await;
        let answer = http.answer().await;
        assert_eq!((answer.status, answer.header("content-type")), (413, "application/json"), "{length}");
        assert_eq!(answer.error().code, 8);
    }

    let mut http = gateway.http().await;
    http.head("POST", "/v1/logs", &[PROTOBUF, ("transfer-encoding", "chunked")]).await;
    for _ in 0..20 {
        http.send(&[b"10000\r\n", &vec![0; 0x10000][..], b"\r\n"].concat()).await;
    }
    assert_eq!(http.answer().await.status, 413);

    // Several times what sockets buffer: were the connection just closed, the reset would fail the client's sending, and
    // many clients do not look for an answer then.
    let mut http = gateway.http().await;
    http.head("POST", "/v1/logs", &[PROTOBUF, ("content-length", "33554432")]).await;
    assert!(http.send(&vec![0; 32 << 20]).await);
    assert_eq!(http.answer().await.status, 413);
    assert_eq!(gateway.count("http", Signal::Logs, "too_large"), 6);
}

/// Content types and encodings that are not taken.
/// Guarantees 415 with the list of those that are.
#[tokio::test]
async fn other_types_and_encodings_are_415() {
    let gateway = Gateway::start().await;
    let mut http = gateway.http().await;
    let body = request(Signal::Metrics, 1, 0);
    for headers in [&[("content-type", "text/plain")][..], &[], &[("content-type", "application/grpc")]] {
        let answer = http.post("/v1/metrics", headers, &body).await;
        assert_eq!((answer.status, answer.header("content-type")), (415, "application/json"));
        assert_eq!(answer.header("accept"), "application/x-protobuf,application/json");
        assert!(answer.error().message.contains("application/x-protobuf"));
    }
    for encoding in ["br", "deflate", "gzip, gzip"] {
        let answer = http.post("/v1/metrics", &[PROTOBUF, ("content-encoding", encoding)], &body).await;
        assert_eq!((answer.status, answer.header("content-type")), (415, "application/x-protobuf"));
        assert_eq!(answer.header("accept-encoding"), "identity,gzip,zstd");
        assert!(answer.error().message.contains(encoding));
    }
    assert_eq!(gateway.count("http", Signal::Metrics, "unsupported"), 6);
    assert!(gateway.stored_nothing().await);
}

/// Paths that are not there, and methods other than POST.
/// Guarantees 404 and 405 with a Status, on a connection that goes on.
#[tokio::test]
async fn other_paths_and_methods_are_404_and_405() {
    let gateway = Gateway::start().await;
    let mut http = gateway.http().await;
    for path in ["/", "/v1/logs/", "/v1/profiles", Signal::Logs.grpc_path()] {
        let answer = http.post(path, &[PROTOBUF], b"").await;
        assert_eq!((answer.status, answer.header("content-type")), (404, "application/x-protobuf"));
        assert!(answer.error().message.contains("/v1/traces"));
    }
    for method in ["GET", "PUT", "DELETE", "PATCH", "BREW"] {
        http.head(method, "/v1/logs", &[JSON]).await;
        let answer = http.answer().await;
        assert_eq!((answer.status, answer.header("allow")), (405, "POST"), "{method}");
        assert!(answer.error().message.contains("POST"));
    }
    assert_eq!(http.post("/v1/logs", &[JSON], b"{}").await.status, 200);
}
