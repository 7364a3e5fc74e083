//! Scenario: the gateway is frozen for long, or its disk is: an fsync that takes seconds. Guarantee: clients get an answer within
//! 4 s, an OK only for what is on disk; nothing is reopened or lost, and all goes on when the stall is over.

use std::time::{Duration, Instant};

use rustix::process::Signal as Process;
use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;

use crate::inject::{self, Tracer};
use crate::support::client::{Client, Load, Transport};
use crate::support::gateway::Home;
use crate::support::hub::Hub;
use crate::support::items;
use crate::support::wait::{seconds, until};
use crate::{count, to};

/// An answer is promised within 4 s; the rest is for a machine that is busy.
const ANSWER: Duration = Duration::from_millis(4700);

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_was_frozen_goes_on() {
    let hub = Hub::start().await;
    let home = Home::new();
    let gateway = home.start(&to(&hub.url()));
    let load = Load::start(gateway.grpc, gateway.http, 5, Duration::from_millis(5));
    until("something is acknowledged", seconds(20), || load.acknowledged() > 500).await;
    gateway.signal(Process::STOP);
    tokio::time::sleep(seconds(count(6, 300) as u64)).await;
    let before = load.acknowledged();
    gateway.signal(Process::CONT);
    until("it goes on", seconds(20), || load.acknowledged() > before + 500).await;
    let acknowledged = load.stop().await;
    until("everything is settled", seconds(20), || gateway.books("queued") == 0).await;
    assert_eq!(hub.missing(&acknowledged), []);
    gateway.assert_balanced();
    assert_eq!(gateway.metric("spillway_store_reopens_total", &[]), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_fsync_is_answered_in_time() {
    if !inject::is_possible() {
        return;
    }
    let hub = Hub::start().await;
    let home = Home::new();
    let gateway = home.start(&to(&hub.url()));
    let tracer = Tracer::attach(&home, &gateway, "fdatasync", Some("delay_exit=8000000:when=1"));
    let asking =
        [(Transport::Grpc, gateway.grpc, 0), (Transport::Http, gateway.http, 10)].map(|(transport, door, id)| {
            tokio::spawn(async move {
                let began = Instant::now();
                let request = items::request(Signal::Logs, id..id + 10);
                let answer = Client::of(transport, door).send_body(Signal::Logs, Encoding::Identity, &request).await;
                (answer, began.elapsed())
            })
        });
    for asking in asking {
        let (answer, took) = asking.await.unwrap();
        assert!(matches!(answer, Answer::Grpc { code: 14, .. } | Answer::Http { status: 503, .. }), "{answer:?}");
        assert!(took < ANSWER, "{took:?}");
    }
    assert_eq!(gateway.get("/livez").0, 200);
    let client = Client::of(Transport::Grpc, gateway.grpc);
    let mut taken = false;
    for _ in 0..10 {
        taken = taken || client.send(Signal::Logs, 100..110).await;
    }
    assert!(taken, "it does not go on:\n{}", gateway.log());
    drop(tracer);
    until("it arrives", seconds(20), || hub.copies(Signal::Logs).contains_key(&100)).await;
    until("everything is settled", seconds(20), || gateway.books("queued") == 0).await;
    gateway.assert_balanced();
    assert_eq!(gateway.metric("spillway_store_reopens_total", &[]), 0.0);
}
