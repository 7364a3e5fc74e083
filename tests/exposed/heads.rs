//! Scenario: clients whose headers never end: HTTP/1.1 lines, HTTP/2 CONTINUATION frames, thousands of small ones.
//! Guarantee: each connection ends after some KiB, and honest clients get their OK.

use crate::NOWHERE;
use crate::honest::{Honest, assert_bounded, memory};
use crate::raw::{self, GREETING, flood, frame};
use crate::support::gateway::{Gateway, Home};
use tokio::io::AsyncWriteExt;

/// More than a connection takes: once it has failed, the gateway throws away 64 MiB or two seconds of what still comes, so that
/// the client gets to read why.
const ENOUGH: usize = 128 << 20;

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

async fn lines(gateway: &Gateway) -> usize {
    let mut stream = raw::connect(gateway.http).await;
    stream.write_all(b"POST /v1/logs HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    flood(stream, &b"x-long: and never an end of it\r\n".repeat(100), ENOUGH).await
}

async fn continuations(gateway: &Gateway, payload: usize) -> usize {
    let mut stream = raw::connect(gateway.grpc).await;
    stream.write_all(GREETING).await.unwrap();
    stream.write_all(&frame(HEADERS, 0, 1, &[])).await.unwrap();
    // A literal header without indexing, `a: `, as often as it fits.
    let headers = [0, 1, b'a', 0].repeat(payload / 4);
    flood(stream, &frame(CONTINUATION, 0, 1, &headers), ENOUGH).await
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_never_end_are_not_waited_for() {
    let home = Home::new();
    let gateway = home.start(NOWHERE);
    let honest = Honest::start(&gateway).await;
    let (before, _) = memory(&gateway);
    let gateway = std::sync::Arc::new(gateway);
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..9 {
        let gateway = std::sync::Arc::clone(&gateway);
        clients.spawn(async move {
            match client % 3 {
                0 => lines(&gateway).await,
                1 => continuations(&gateway, 0).await,
                _ => continuations(&gateway, 16 << 10).await,
            }
        });
    }
    while let Some(taken) = clients.join_next().await {
        assert!(taken.unwrap() < ENOUGH, "a connection takes headers for ever");
    }
    honest.stop().await;
    assert_bounded(&gateway, before, 96);
}
