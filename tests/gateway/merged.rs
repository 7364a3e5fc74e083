//! Scenario: small requests of all signals gather while the hub is away, over both protocols; then it is back, and refuses whatever
//! holds one certain log record.
//! Guarantee: every item arrives whole and once, in a fraction of the requests; the batch with that record is a dead letter, and
//! that one alone.

use std::time::{Duration, Instant};

use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;

use crate::support::client::{Client, Transport};
use crate::support::gateway::Home;
use crate::support::hub::Hub;
use crate::support::items;
use crate::support::wait::seconds;

/// Requests of each signal, and items of each request.
const REQUESTS: u64 = 150;
const ITEMS: u64 = 3;

/// The record that the hub finds fault with.
const BAD: u64 = 100;

#[tokio::test(flavor = "multi_thread")]
async fn they_arrive_together_over_grpc() {
    arrive("otlp_grpc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_arrive_together_over_http() {
    arrive("otlp_http").await;
}

async fn arrive(protocol: &str) {
    let mut hub = Hub::start().await;
    hub.detests(Signal::Logs, BAD);
    hub.take_away().await;
    let home = Home::new();
    let gateway = home.start(&format!(
        "targets:\n  hub: {{protocol: {protocol}, endpoint: \"{}\", retry: {{initial_interval: 100ms, max_interval: 500ms}}, \
         breaker: {{open_for: 300ms, max_open_for: 1s, ramp: 1s}}, health: {{interval: 500ms, timeout: 2s}}}}\n\
         chain: {{primary: hub}}\n",
        hub.url()
    ));
    let client = Client::of(Transport::Http, gateway.http);
    for request in 0..REQUESTS {
        for signal in Signal::ALL {
            let encoding = if request % 2 == 0 { Encoding::Gzip } else { Encoding::Identity };
            let plain = items::request(signal, request * ITEMS..(request + 1) * ITEMS);
            assert_eq!(client.send_body(signal, encoding, &plain).await, Answer::accepted());
        }
    }
    tokio::time::sleep(seconds(3)).await; // what came in just now is fresh, and goes as it came
    hub.bring_back().await;
    // New ones show that it is the batch, and not the hub.
    let (mut next, deadline) = (REQUESTS * ITEMS, Instant::now() + seconds(60));
    while gateway.books("dead") == 0 || gateway.books("queued") > 0 {
        assert!(Instant::now() < deadline, "{} queued\n{}", gateway.books("queued"), gateway.log());
        assert!(client.send(Signal::Logs, next..next + 1).await);
        next += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let dead = BAD / ITEMS * ITEMS..(BAD / ITEMS + 1) * ITEMS;
    for signal in Signal::ALL {
        let copies = hub.copies(signal);
        let all = if signal == Signal::Logs { next } else { REQUESTS * ITEMS };
        let due = (0..all).filter(|id| signal != Signal::Logs || !dead.contains(id));
        assert_eq!(copies.keys().copied().collect::<Vec<_>>(), due.collect::<Vec<_>>(), "{signal}");
        assert!(copies.values().all(|copies| *copies == 1));
        // Those that were refused together came by themselves afterwards.
        if signal != Signal::Logs {
            let requests = hub.plain().iter().filter(|(of, _)| *of == signal).count() as u64;
            let merged = gateway.metric("spillway_merged_batches_total", &[&format!("signal=\"{signal}\"")]) as u64;
            assert!(requests < REQUESTS / 2 && merged > 0, "{signal}: {requests} requests, {merged} merged");
        }
    }
    assert_eq!((gateway.books("dead"), gateway.books("rejected")), (ITEMS, 0));
    gateway.assert_balanced();
}
