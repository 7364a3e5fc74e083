//! Scenario: clients open streams and reset them at once, thousands of times (CVE-2023-44487), some with a part of a body.
//! Guarantee: nothing of it stays behind, and honest clients get their OK.

use bytes::Bytes;
use h2::Reason;
use http::{Method, Request};
use tokio::task::JoinSet;

use crate::honest::{Honest, assert_bounded, memory};
use crate::support::gateway::Home;
use crate::support::wait::{seconds, until};
use crate::{NOWHERE, count, raw};

/// Opens and resets so many streams, on new connections where the gateway has had enough of one; how often it had.
async fn storm(address: std::net::SocketAddr, streams: usize, body: bool) -> usize {
    let path = "http://x/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    let (mut left, mut ended) = (streams, 0);
    while left > 0 {
        let Ok((mut send, connection)) = h2::client::handshake(raw::connect(address).await).await else { continue };
        let connection = tokio::spawn(connection);
        while left > 0 {
            left -= 1;
            let request = Request::builder().method(Method::POST).uri(path).header("content-type", "application/grpc");
            let Ok(ready) = send.ready().await else { break };
            send = ready;
            let Ok((_, mut stream)) = send.send_request(request.body(()).unwrap(), false) else { break };
            if body {
                let _ = stream.send_data(Bytes::from_static(&[0, 0, 0x10, 0, 0, 1, 2, 3]), false);
                tokio::task::yield_now().await;
            }
            stream.send_reset(Reason::CANCEL);
            if left % 50 == 0 {
                tokio::task::yield_now().await;
            }
        }
        ended += usize::from(left > 0);
        connection.abort();
    }
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_resets_leaves_nothing_behind() {
    let home = Home::new();
    let gateway = home.start(NOWHERE);
    let honest = Honest::start(&gateway).await;
    let (before, _) = memory(&gateway);
    let mut storms = JoinSet::new();
    for client in 0..8 {
        storms.spawn(storm(gateway.grpc, count(2_000, 50_000), client % 2 == 0));
    }
    let mut ended = 0;
    while let Some(storm) = storms.join_next().await {
        ended += storm.unwrap();
    }
    eprintln!("the gateway ended {ended} connections");
    honest.stop().await;
    let idle = || gateway.metric("spillway_admission_inflight_bytes", &[]) == 0.0;
    until("nothing is held", seconds(60), idle).await;
    assert_bounded(&gateway, before, 96);
}
