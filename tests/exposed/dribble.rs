//! Scenario: hundreds of clients announce a MiB each, over both transports, and send a byte a second.
//! Guarantee: together they hold little, each is given up by itself, and every honest request meanwhile gets its OK.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::honest::Honest;
use crate::support::gateway::Home;
use crate::support::wait::seconds;
use crate::{NOWHERE, count, raw};

/// A MiB, as a gRPC message announces it.
const PREFIX: &[u8] = &[0, 0, 0x10, 0, 0];

async fn by_http(address: std::net::SocketAddr) -> u16 {
    let mut stream = raw::connect(address).await;
    let head =
        "POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 1048576\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let dribble = async {
        while write.write_all(b"\x0a").await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut start = [0; 12];
    tokio::select! {
        answered = tokio::io::AsyncReadExt::read_exact(&mut read, &mut start) => {
            answered.unwrap();
        }
        () = dribble => {}
    }
    std::str::from_utf8(&start[9..]).unwrap().parse().unwrap()
}

async fn by_grpc(address: std::net::SocketAddr) -> u16 {
    let (mut send, connection) = h2::client::handshake(raw::connect(address).await).await.unwrap();
    let connection = tokio::spawn(connection);
    let path = "http://x/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    let request = Request::builder().method(Method::POST).uri(path).header("content-type", "application/grpc");
    let (response, mut stream) = send.send_request(request.body(()).unwrap(), false).unwrap();
    stream.send_data(Bytes::from_static(PREFIX), false).unwrap();
    let dribble = async {
        while stream.send_data(Bytes::from_static(b"\x0a"), false).is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
        std::future::pending::<()>().await;
    };
    let head = tokio::select! {
        answered = response => answered.unwrap().into_parts().0,
        () = dribble => unreachable!("it never ends"),
    };
    connection.abort();
    head.headers["grpc-status"].to_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_a_second_holds_up_nobody() {
    let home = Home::new();
    let gateway = home.start(NOWHERE);
    let honest = Honest::start(&gateway).await;
    let (grpc, http) = (gateway.grpc, gateway.http);
    let mut clients = JoinSet::new();
    for _ in 0..count(200, 2000) {
        clients.spawn(async move { timeout(seconds(120), by_http(http)).await.expect("it goes on for ever") });
        clients.spawn(async move { timeout(seconds(120), by_grpc(grpc)).await.expect("it goes on for ever") });
    }
    honest.go_on(20).await;
    let budget = 32.0 * 1024.0 * 1024.0;
    let held = gateway.metric("spillway_admission_inflight_bytes", &[]);
    assert!(held < 0.7 * budget, "{held} of {budget} bytes are held");
    while let Some(answer) = clients.join_next().await {
        let answer = answer.unwrap();
        assert!([408, 4].contains(&answer), "{answer}");
    }
    honest.stop().await;
    assert_eq!(gateway.metric("spillway_refused_items_total", &["reason=\"overloaded\""]), 0.0);
}
