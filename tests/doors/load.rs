//! Scenario: some thousand requests of three signals over both transports at once, a share of them wrong, from clients that
//! share connections.
//! Guarantee: every item that was answered OK is in the books of the queue, counted once, and nothing else is.

use std::sync::Arc;

use spillway::batch::{Encoding, Signal};

use crate::support::Gateway;
use crate::support::samples::{encoded, request};

const CLIENTS: usize = 16;
const REQUESTS: usize = 200;

/// Items that a client was told OK for, by signal.
type Accepted = [u64; 3];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_books_hold_what_was_answered_ok() {
    let gateway = Arc::new(Gateway::start().await);
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let gateway = Arc::clone(&gateway);
        clients.spawn(async move {
            if client % 2 == 0 { by_grpc(&gateway, client).await } else { by_http(&gateway, client).await }
        });
    }
    let mut accepted = Accepted::default();
    while let Some(client) = clients.join_next().await {
        let client = client.unwrap();
        accepted = std::array::from_fn(|signal| accepted[signal] + client[signal]);
    }

    let books = gateway.queue.snapshot().signals.map(|depth| depth.books);
    assert_eq!(books.map(|books| books.accepted), accepted);
    assert_eq!(books.map(|books| books.queued), accepted);
    assert!(books.iter().all(|books| books.imbalance() == 0));
    let recount = gateway.queue.recount().await.unwrap();
    assert_eq!(recount.map(|found| found.items), accepted);

    let stats = gateway.stats.snapshot();
    assert_eq!(stats.accepted_items, accepted);
    assert_eq!(stats.received_items, accepted);
    assert_eq!(stats.requests.iter().map(|requests| requests.count).sum::<u64>(), (CLIENTS * REQUESTS) as u64);
    let malformed: u64 = stats.requests.iter().filter(|r| r.outcome == "malformed").map(|r| r.count).sum();
    assert_eq!(malformed, (CLIENTS * REQUESTS / 10) as u64);
    assert_eq!(stats.inflight_bytes, 0);
    assert_eq!(stats.ack_duration.count, (CLIENTS * REQUESTS - CLIENTS * REQUESTS / 10) as u64);
}

/// The n-th request: its signal, its items, its encoding; every tenth is no request at all.
fn nth(client: usize, n: usize) -> (Signal, u64, Encoding, Vec<u8>) {
    let (signal, items) = (Signal::ALL[(client + n) % 3], 1 + (n * 7 + client) % 50);
    let encoding = Encoding::ALL[n % 3];
    let plain = if n % 10 == 9 { vec![0xff; 50] } else { request(signal, items, 300) };
    (signal, items as u64, encoding, encoded(encoding, &plain))
}

async fn by_grpc(gateway: &Gateway, client: usize) -> Accepted {
    let grpc = gateway.grpc().await;
    let mut accepted = Accepted::default();
    // Eight at a time on the one connection.
    for chunk in (0..REQUESTS).collect::<Vec<_>>().chunks(8) {
        let sent = chunk.iter().map(|n| {
            let grpc = &grpc;
            async move {
                let (signal, items, encoding, body) = nth(client, *n);
                let answer = grpc.export(signal, encoding, &body).await;
                assert_eq!(answer.status() == 0, n % 10 != 9, "{answer:?}");
                (signal, if answer.status() == 0 { items } else { 0 })
            }
        });
        for (signal, items) in futures_util::future::join_all(sent).await {
            accepted[signal.index()] += items;
        }
    }
    accepted
}

async fn by_http(gateway: &Gateway, client: usize) -> Accepted {
    let mut http = gateway.http().await;
    let mut accepted = Accepted::default();
    for n in 0..REQUESTS {
        let (signal, items, encoding, body) = nth(client, n);
        let headers = [("content-type", "application/x-protobuf"), ("content-encoding", encoding.as_str())];
        let answer = http.post(signal.http_path(), &headers, &body).await;
        assert_eq!(answer.status == 200, n % 10 != 9, "{answer:?}");
        if answer.status == 200 {
            accepted[signal.index()] += items;
        }
    }
    accepted
}
