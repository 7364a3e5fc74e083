//! Scenario: more comes than the doors or the queue have room for.
//! Guarantee: the answer comes within four seconds, as UNAVAILABLE or 503 with a delay, and nothing is lost or held.

use std::time::{Duration, Instant};

use spillway::batch::{Encoding, Signal};
use spillway::otlp::status::code;

use crate::support::gateway::config;
use crate::support::grpc::framed;
use crate::support::samples::request;
use crate::support::{Gateway, eventually};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

/// Clients that hold all of `max_inflight` with bodies they do not finish, and others that come then.
/// Guarantees that the others are told within four seconds to come back, and are served as soon as there is room.
#[tokio::test]
async fn without_room_the_answer_is_quick_and_names_a_delay() {
    let mut config = config();
    config.max_inflight = 1 << 20;
    let gateway = Gateway::start_with(config).await;
    let slow = gateway.grpc().await;
    let message = framed(0, &request(Signal::Metrics, 100_000, 0));
    assert!(message.len() > 1 << 20, "{}", message.len());
    let (_response, stream) = slow.begin(Signal::Metrics, &message[..1 << 20]).await;
    eventually("all room is taken", || gateway.stats.snapshot().inflight_bytes == 1 << 20).await;

    let since = Instant::now();
    let grpc = gateway.grpc().await;
    let body = request(Signal::Logs, 1, 0);
    let mut http = gateway.http().await;
    let (by_grpc, by_http) =
        tokio::join!(grpc.export(Signal::Logs, Encoding::Identity, &body), http.post("/v1/logs", &[PROTOBUF], &body));
    assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
    assert_eq!(by_grpc.status(), code::UNAVAILABLE);
    assert!(by_grpc.details().unwrap().delay.unwrap() >= Duration::from_secs(1));
    assert_eq!(by_http.status, 503);
    assert!(by_http.header("retry-after").parse::<u32>().unwrap() >= 1);
    assert_eq!(by_http.error().code, code::UNAVAILABLE);
    assert_eq!(gateway.count("grpc", Signal::Logs, "overloaded"), 1);

    drop(stream);
    slow.connection.abort();
    assert!(grpc.export(Signal::Logs, Encoding::Identity, &body).await.is_full_success());
    assert_eq!(http.post("/v1/logs", &[PROTOBUF], &body).await.status, 200);
}

/// A request larger than `max_inflight`, alone.
/// Guarantees that it is served all the same.
#[tokio::test]
async fn a_request_larger_than_the_budget_is_served_alone() {
    let mut config = config();
    config.max_inflight = 1 << 20;
    let gateway = Gateway::start_with(config).await;
    let body = request(Signal::Logs, 30, 200_000);
    for _ in 0..2 {
        assert!(gateway.grpc().await.export(Signal::Logs, Encoding::Identity, &body).await.is_full_success());
        assert!(gateway.stored(Signal::Logs).await.body == body);
    }
}

/// A queue that is filled to its quota.
/// Guarantees that what comes then is refused with a whole number of seconds to wait, before its body is read, and that
/// everything that was answered OK is in the queue.
#[tokio::test]
async fn a_full_queue_refuses_with_a_delay() {
    let gateway = Gateway::start_on(config(), 64 << 20).await;
    let grpc = gateway.grpc().await;
    let body: Vec<u8> = request(Signal::Traces, 8, 120_000);
    let mut taken = 0;
    let refused = loop {
        let answer = grpc.export(Signal::Traces, Encoding::Identity, &body).await;
        if answer.status() != 0 {
            break answer;
        }
        taken += 1;
        assert!(taken < 200, "the quota is not held");
    };
    assert_eq!(refused.status(), code::UNAVAILABLE);
    let delay = refused.details().unwrap().delay.unwrap();
    assert!((1..=30).contains(&delay.as_secs()), "{delay:?}");

    let mut http = gateway.http().await;
    http.head("POST", "/v1/traces", &[PROTOBUF, ("content-length", "1000000")]).await;
    let answer = http.answer().await;
    assert_eq!(answer.status, 503, "before the body came");
    assert!((1..=30).contains(&answer.header("retry-after").parse::<u64>().unwrap()));
    assert_eq!(answer.error().code, code::UNAVAILABLE);
    assert!(gateway.count("grpc", Signal::Traces, "full") + gateway.count("http", Signal::Traces, "full") >= 2);
    assert_eq!(gateway.queue.snapshot().signals[Signal::Traces.index()].books.queued, taken * 8);
}

/// More connections than `max_connections`.
/// Guarantees that the one too many is ended at once, and that there is a place again when another leaves.
#[tokio::test]
async fn connections_are_limited_over_both_doors() {
    let mut config = config();
    config.max_connections = 2;
    let gateway = Gateway::start_with(config).await;
    let body = request(Signal::Logs, 1, 0);
    let grpc = gateway.grpc().await;
    assert!(grpc.export(Signal::Logs, Encoding::Identity, &body).await.is_full_success());
    let mut http = gateway.http().await;
    assert_eq!(http.post("/v1/logs", &[PROTOBUF], &body).await.status, 200);
    assert!(gateway.http().await.ended().await);

    drop(http);
    eventually("a place is free", || gateway.stats.snapshot().connections == 1).await;
    assert_eq!(gateway.http().await.post("/v1/logs", &[PROTOBUF], &body).await.status, 200);
}
