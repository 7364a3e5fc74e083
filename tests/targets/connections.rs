//! Scenario: many sends at once, connections that go silent, targets that nobody uses.
//! Guarantee: load is spread over the configured connections, a silent one is left, and none is made without need.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use spillway::batch::Signal;
use spillway::config::Protocol;
use spillway::otlp::answer::{Answer, Break};

use crate::setup::{BOTH, build, network, plain, target};
use crate::sink::{Reply, Sink};

#[tokio::test]
async fn grpc_requests_are_spread_over_the_connections() {
    let sink = Sink::start().await;
    let mut config = network(Protocol::OtlpGrpc, &sink.url());
    config.connections = 3;
    let hub = build(config);
    assert_eq!(sink.connections(), 0, "building connects to nobody");
    let shipment = plain();
    let answers = join_all((0..30).map(|_| hub.send(&shipment))).await;
    assert!(answers.iter().all(|answer| *answer == Answer::accepted()));
    assert_eq!(sink.connections(), 3);
    for connection in 0..3 {
        assert_eq!(sink.seen().iter().filter(|seen| seen.connection == connection).count(), 10);
    }
}

#[tokio::test]
async fn a_connection_that_went_silent_is_left() {
    for protocol in BOTH {
        let sink = Sink::start().await;
        sink.answer(|seen| if seen.connection == 0 { Reply::Hang } else { Reply::accept() });
        let mut config = network(protocol, &sink.url());
        (config.connections, config.timeout) = (1, Duration::from_secs(2));
        let hub = build(config);
        let silent = hub.send(&plain()).await;
        assert!(matches!(silent, Answer::Broken { at: Break::Timeout, .. }), "{silent}");
        assert_eq!(hub.send(&plain()).await, Answer::accepted());
        assert_eq!(sink.seen().iter().map(|seen| seen.connection).collect::<Vec<_>>(), [0, 1]);
    }
}

/// Scenario: eight sends at once over one connection of the pool, to a server that answers none of them.
/// Guarantee: all of them arrive: none waits for the answer to another.
#[tokio::test]
async fn requests_are_under_way_at_the_same_time() {
    for protocol in BOTH {
        let sink = Sink::start().await;
        sink.always(Reply::Hang);
        let mut config = network(protocol, &sink.url());
        config.connections = 1;
        let (hub, shipment) = (build(config), plain());
        tokio::select! {
            () = sink.wait_for(8) => {}
            _ = join_all((0..8).map(|_| hub.send(&shipment))) => panic!("nobody answers"),
        }
    }
}

/// Scenario: one send after the other, over one connection of the pool.
/// Guarantee: all of them go over the same connection.
#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    for protocol in BOTH {
        let sink = Sink::start().await;
        let mut config = network(protocol, &sink.url());
        config.connections = 1;
        let hub = build(config);
        for _ in 0..10 {
            assert_eq!(hub.send(&plain()).await, Answer::accepted());
        }
        assert_eq!((sink.seen().len(), sink.connections()), (10, 1), "{protocol:?}");
    }
}

/// Scenario: each signal has an endpoint of its own.
/// Guarantee: each goes to its own, over connections of its own where the hosts differ.
#[tokio::test]
async fn signals_go_to_their_own_endpoints() {
    for protocol in BOTH {
        let (one, other) = (Sink::start().await, Sink::start().await);
        let mut config = network(protocol, &one.url());
        config.endpoints[Signal::Logs.index()] = match protocol {
            Protocol::OtlpGrpc => other.url(),
            Protocol::OtlpHttp => format!("{}/otlp/logs?key=1", other.url()),
        };
        let hub = build(config);
        for signal in Signal::ALL {
            let shipment = crate::setup::shipment(signal, spillway::batch::Encoding::Gzip, "x");
            assert_eq!(hub.send(&shipment).await, Answer::accepted());
        }
        assert_eq!(one.seen().len(), 2);
        let path = other.only().path;
        assert_eq!(path, if protocol == Protocol::OtlpGrpc { Signal::Logs.grpc_path() } else { "/otlp/logs" });
    }
}

/// Scenario: a hundred sends at once while nobody listens.
/// Guarantee: all end in time, and the target works when somebody does.
#[tokio::test]
async fn a_crowd_before_a_closed_port() {
    for protocol in BOTH {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let hub = target(protocol, &format!("http://{free}"));
        let shipment = plain();
        let answers = join_all((0..100).map(|_| hub.send(&shipment))).await;
        let steps: BTreeSet<_> = answers
            .iter()
            .map(|answer| match answer {
                Answer::Broken { at, .. } => format!("{at:?}"),
                other => other.to_string(),
            })
            .collect();
        assert_eq!(steps.into_iter().collect::<Vec<_>>(), ["Connect"]);
    }
}
