//! Scenario: requests of every signal, over both transports, plain and gzip, small and in many frames.
//! Guarantee: OK is answered as the specification has it, and the queue holds the very bytes that were sent.

use spillway::batch::{Encoding, Signal};

use crate::support::Gateway;
use crate::support::samples::{encoded, request};

/// Items and bytes of text in each: some bytes, some frames, more than a stream's window and than is inspected on the spot.
const SIZES: [(usize, usize); 3] = [(1, 0), (200, 1_000), (30, 200_000)];

#[tokio::test]
async fn what_was_sent_is_what_is_stored() {
    let gateway = Gateway::start().await;
    let grpc = gateway.grpc().await;
    let mut http = gateway.http().await;
    for signal in Signal::ALL {
        for encoding in Encoding::ALL {
            for (items, bytes) in SIZES {
                let plain = request(signal, items, bytes);
                let body = encoded(encoding, &plain);

                let answer = grpc.export(signal, encoding, &body).await;
                assert!(answer.is_full_success(), "{signal} {encoding:?}: {answer:?}");
                assert_eq!(answer.headers["content-type"], "application/grpc");
                let by_grpc = gateway.stored(signal).await;

                let headers = [("content-type", "application/x-protobuf"), ("content-encoding", encoding.as_str())];
                let answer = http.post(signal.http_path(), &headers, &body).await;
                assert_eq!((answer.status, &answer.body[..]), (200, &b""[..]), "{signal} {encoding:?}");
                assert_eq!(answer.header("content-type"), "application/x-protobuf");
                let by_http = gateway.stored(signal).await;

                for batch in [by_grpc, by_http] {
                    assert!(batch.body == body, "{signal} {encoding:?}: {} of {} bytes", batch.body.len(), body.len());
                    assert_eq!((batch.signal, batch.encoding), (signal, encoding));
                    assert_eq!((batch.items as usize, batch.inflated_len as usize), (items, plain.len()));
                    assert!(batch.headers.is_empty());
                }
            }
        }
    }
    assert!(gateway.stored_nothing().await);
}

/// A gRPC message whose frames end anywhere: in its prefix, in its middle, with an empty one at the end.
/// Guarantees that the same bytes are stored however they were framed, and that a message not flagged as compressed is
/// plain whatever `grpc-encoding` says.
#[tokio::test]
async fn frames_may_end_anywhere() {
    let gateway = Gateway::start().await;
    let grpc = gateway.grpc().await;
    let plain = request(Signal::Logs, 20, 100);
    let message = crate::support::grpc::framed(0, &plain);
    for size in [1, 3, 5, 6, 1000] {
        let mut chunks: Vec<_> = message.chunks(size).collect();
        chunks.push(b"");
        let answer = grpc.call(Signal::Logs.grpc_path(), &[("grpc-encoding", "gzip")], &chunks).await.unwrap();
        assert!(answer.is_full_success(), "{answer:?}");
        let batch = gateway.stored(Signal::Logs).await;
        assert_eq!((batch.body, batch.encoding), (plain.clone().into(), Encoding::Identity));
    }
}

/// A body sent in chunks without a length, as streaming HTTP clients do, and one announced with `Expect: 100-continue`.
/// Guarantees that both are stored like any other.
#[tokio::test]
async fn http_bodies_may_come_in_chunks_or_wait_to_be_asked_for() {
    let gateway = Gateway::start().await;
    let mut http = gateway.http().await;
    let plain = request(Signal::Traces, 300, 100);
    let protobuf = ("content-type", "application/x-protobuf");

    http.head("POST", "/v1/traces", &[protobuf, ("transfer-encoding", "chunked")]).await;
    for chunk in plain.chunks(777) {
        http.send(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat()).await;
    }
    http.send(b"0\r\n\r\n").await;
    assert_eq!(http.answer().await.status, 200);
    assert_eq!(gateway.stored(Signal::Traces).await.body, plain);

    let length = plain.len().to_string();
    http.head("POST", "/v1/traces", &[protobuf, ("content-length", &length), ("expect", "100-continue")]).await;
    assert_eq!(http.answer().await.status, 100);
    http.send(&plain).await;
    assert_eq!(http.answer().await.status, 200);
    assert_eq!(gateway.stored(Signal::Traces).await.body, plain);
}

/// OTLP/HTTP over HTTP/2 without TLS, which some clients speak from the start.
/// Guarantees that the HTTP door takes it like HTTP/1.1.
#[tokio::test]
async fn the_http_door_speaks_http_2_too() {
    let gateway = Gateway::start().await;
    let client = crate::support::grpc::Client::connect(gateway.http).await;
    let body = request(Signal::Logs, 30, 1_000);
    let protobuf = [("content-type", "application/x-protobuf")];
    let answer = client.call("/v1/logs", &protobuf, &[&body]).await.unwrap();
    assert_eq!((answer.http, &answer.body[..]), (200, &b""[..]));
    assert_eq!(gateway.stored(Signal::Logs).await.body, body);
    let answer = client.call("/v1/logs", &protobuf, &[&[0xff; 9]]).await.unwrap();
    assert_eq!(answer.http, 400);
    assert_eq!(answer.headers["content-type"], "application/x-protobuf");
}

/// A gzip body of two members, which many receivers read only the first of.
/// Guarantees that everything in it is stored, as one member.
#[tokio::test]
async fn several_gzip_members_are_stored_as_one() {
    let gateway = Gateway::start().await;
    let plain = request(Signal::Logs, 50, 500);
    let (head, tail) = plain.split_at(plain.len() / 2);
    let body = [encoded(Encoding::Gzip, head), encoded(Encoding::Gzip, tail)].concat();
    assert!(gateway.grpc().await.export(Signal::Logs, Encoding::Gzip, &body).await.is_full_success());
    let batch = gateway.stored(Signal::Logs).await;
    assert_eq!((batch.items, batch.encoding), (50, Encoding::Gzip));
    let mut first = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&batch.body[..]), &mut first).unwrap();
    assert!(first == plain);
}

/// Requests without a single item, in each form, even with resources in them.
/// Guarantees that they succeed and are not queued.
#[tokio::test]
async fn an_empty_request_succeeds_and_is_not_queued() {
    let gateway = Gateway::start().await;
    let (grpc, mut http) = (gateway.grpc().await, gateway.http().await);
    for signal in Signal::ALL {
        for body in [&b""[..], b"\x0a\x00"] {
            assert!(grpc.export(signal, Encoding::Identity, body).await.is_full_success());
            let answer = http.post(signal.http_path(), &[("content-type", "application/x-protobuf")], body).await;
            assert_eq!((answer.status, &answer.body[..]), (200, &b""[..]));
        }
        let answer = http.post(signal.http_path(), &[("content-type", "application/json")], b"{}").await;
        assert_eq!((answer.status, &answer.body[..]), (200, &b"{}"[..]));
        assert_eq!((gateway.count("grpc", signal, "empty"), gateway.count("http", signal, "empty")), (2, 3));
    }
    assert!(gateway.stored_nothing().await);
}

/// Client headers, named in `forward_headers` and not, over both transports.
/// Guarantees that those that are named stay with the batch, all their values, and no other does.
#[tokio::test]
async fn headers_that_are_named_stay_with_the_batch() {
    let mut config = crate::support::gateway::config();
    config.forward_headers = vec!["x-tenant".to_owned(), "x-scope-orgid".to_owned()];
    let gateway = Gateway::start_with(config).await;
    let body = request(Signal::Logs, 1, 0);
    let sent = [("x-tenant", "blue"), ("x-other", "no"), ("x-tenant", "green")];
    let message = crate::support::grpc::framed(0, &body);
    let answer = gateway.grpc().await.call(Signal::Logs.grpc_path(), &sent, &[&message]).await.unwrap();
    assert!(answer.is_full_success());
    let protobuf = [("content-type", "application/x-protobuf"), ("X-Tenant", "blue"), ("X-TENANT", "green")];
    assert_eq!(gateway.http().await.post("/v1/logs", &protobuf, &body).await.status, 200);
    for _ in 0..2 {
        let batch = gateway.stored(Signal::Logs).await;
        let kept: Vec<_> = batch.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(kept, [("x-tenant", "blue"), ("x-tenant", "green")]);
    }
}
