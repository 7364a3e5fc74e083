//! Scenario: many connections with many streams each begin bodies of some MiB, send all that the windows take, and stop.
//! Guarantee: what lies unread is bounded like what was read, whatever the number of connections; once they are given up, honest
//! clients get their OK again.

use bytes::Bytes;
use http::{Method, Request};
use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;
use tokio::task::JoinSet;

use crate::honest::{assert_bounded, memory};
use crate::support::client::{Client, Transport};
use crate::support::gateway::Home;
use crate::support::items;
use crate::support::wait::{seconds, until};
use crate::{NOWHERE, raw};

const CONNECTIONS: usize = 48;
const STREAMS: usize = 24;
const BODY: usize = 4 << 20;

/// Waits for the answers to bodies that are sent but for their last byte.
async fn stuck(address: std::net::SocketAddr, body: Bytes) {
    let (mut send, connection) = h2::client::handshake(raw::connect(address).await).await.unwrap();
    let connection = tokio::spawn(connection);
    let path = "http://x/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    let mut answers = Vec::new();
    for _ in 0..STREAMS {
        let request = Request::builder().method(Method::POST).uri(path).header("content-type", "application/grpc");
        let (response, mut stream) = send.send_request(request.body(()).unwrap(), false).unwrap();
        stream.send_data(body.clone(), false).unwrap();
        answers.push((response, stream));
    }
    for (response, _stream) in answers {
        // Refused, reset or given up: none of them is OK.
        if let Ok(answer) = response.await {
            assert_ne!(answer.headers().get("grpc-status").map(|status| status.as_bytes()), Some(&b"0"[..]));
        }
    }
    connection.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_unread_is_bounded() {
    let home = Home::new();
    let gateway = home.start(NOWHERE);
    let client = Client::patient(Transport::Grpc, gateway.grpc, 60);
    let request = items::request(Signal::Logs, 0..20);
    let accepted =
        async || matches!(client.send_body(Signal::Logs, Encoding::Gzip, &request).await, Answer::Accepted { .. });
    assert!(accepted().await);
    let (before, _) = memory(&gateway);
    let mut body = vec![0, 0, 0, 0, 0];
    body[1..].copy_from_slice(&u32::try_from(BODY + 1).unwrap().to_be_bytes());
    body.resize(5 + BODY, 0x0a);
    let body = Bytes::from(body);
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        clients.spawn(tokio::time::timeout(seconds(120), stuck(gateway.grpc, body.clone())));
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap().expect("they are never given up");
    }
    until("nothing is held", seconds(60), || gateway.metric("spillway_admission_inflight_bytes", &[]) == 0.0).await;
    assert!(accepted().await);
    // `max_inflight` that is read, as much that waits, and each connection's buffers.
    assert_bounded(&gateway, before, 224);
}
