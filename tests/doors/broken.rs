//! Scenario: clients that stop half-way, dribble, go away, or speak no HTTP at all.
//! Guarantee: each costs its own request or connection, in bounded time, and nobody else's.

use std::time::Duration;

use spillway::batch::{Encoding, Signal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::gateway::config;
use crate::support::grpc::framed;
use crate::support::samples::request;
use crate::support::{Gateway, eventually};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

/// An HTTP body that stops in the middle while its connection stays open.
/// Guarantees 408 after `read_timeout`, with a Status.
#[tokio::test]
async fn a_body_that_stops_is_408_after_the_read_timeout() {
    let mut config = config();
    config.http.as_mut().unwrap().read_timeout = Duration::from_millis(300);
    let gateway = Gateway::start_with(config).await;
    let mut http = gateway.http().await;
    http.head("POST", "/v1/logs", &[PROTOBUF, ("content-length", "1000")]).await;
    http.send(&[0; 500]).await;
    let answer = http.answer().await;
    assert_eq!((answer.status, answer.header("content-type")), (408, "application/x-protobuf"));
    assert!(answer.error().message.contains("did not arrive within"));
    assert_eq!(gateway.count("http", Signal::Logs, "aborted"), 1);
}

/// HTTP clients that connect and say nothing, or never finish their head.
/// Guarantees that their connections end after `read_timeout`.
#[tokio::test]
async fn a_head_that_never_ends_is_not_waited_for() {
    let mut config = config();
    config.http.as_mut().unwrap().read_timeout = Duration::from_millis(300);
    let gateway = Gateway::start_with(config).await;
    for bytes in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n", b"POST /v1/logs HTTP/1.1\r\nhost: x\r\nx-"] {
        let mut http = gateway.http().await;
        http.send(bytes).await;
        assert!(http.ended().await, "{bytes:?}");
    }
    eventually("their connections are closed", || gateway.stats.snapshot().connections == 0).await;
}

/// Bodies cut off by the end of their connection, over both transports, and a gRPC call that its client resets.
/// Guarantees that they count as aborted, leave nothing behind, and hold no room.
#[tokio::test]
async fn a_body_cut_half_way_leaves_nothing_behind() {
    let gateway = Gateway::start().await;
    let mut http = gateway.http().await;
    http.head("POST", "/v1/logs", &[PROTOBUF, ("content-length", "100000")]).await;
    http.send(&[0; 50_000]).await;
    let grpc = gateway.grpc().await;
    let message = framed(0, &request(Signal::Logs, 100, 1000));
    let (_response, _stream) = grpc.begin(Signal::Logs, &message[..50_000]).await;
    let reset = gateway.grpc().await;
    let (_also, mut stream) = reset.begin(Signal::Logs, &message[..50_000]).await;
    eventually("all three are being read", || gateway.stats.snapshot().inflight_bytes >= 150_000).await;

    stream.send_reset(h2::Reason::CANCEL);
    drop(http);
    grpc.connection.abort();
    eventually("nothing is held", || gateway.stats.snapshot().inflight_bytes == 0).await;
    eventually("both count", || {
        (gateway.count("http", Signal::Logs, "aborted"), gateway.count("grpc", Signal::Logs, "aborted")) == (1, 2)
    })
    .await;
    assert!(gateway.stored_nothing().await);
}

/// Bytes that are neither HTTP/1.1 nor HTTP/2, at both doors.
/// Guarantees that only their connections end: a client beside them goes on.
#[tokio::test]
async fn noise_ends_its_own_connection_only() {
    let gateway = Gateway::start().await;
    let grpc = gateway.grpc().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut noise: Vec<Vec<u8>> = (0..40_u32)
        .map(|seed| {
            (0..2000_u32).map(|n| (n.wrapping_mul(2_654_435_761).wrapping_add(seed * 97) >> 13) as u8).collect()
        })
        .collect();
    noise.push(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client hello comes here".to_vec());
    noise.push(b"GET / HTTP/9.9\r\n\r\n".to_vec());
    noise.push([&b"POST /v1/logs HTTP/1.1\r\n"[..], &b"x-long: yes\r\n".repeat(100_000)].concat());
    let with_preface: Vec<_> = noise.iter().map(|bytes| [&preface[..], bytes].concat()).collect();
    for bytes in noise.iter().chain(&with_preface) {
        for door in [gateway.grpc, gateway.http] {
            let mut stream = TcpStream::connect(door).await.unwrap();
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
            let mut rest = Vec::new();
            let ended = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut rest)).await;
            assert!(ended.is_ok(), "the connection stays open after {:?}", &bytes[..20]);
        }
    }
    assert!(grpc.export(Signal::Logs, Encoding::Identity, &request(Signal::Logs, 1, 0)).await.is_full_success());
    assert!(!gateway.serving.is_finished());
}
