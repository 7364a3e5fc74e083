//! Scenario: a target with configured headers and clusters gets fresh and replayed batches with kept client headers.
//! Guarantee: each request says who sends to whom and which batch it is; a client cannot pass itself off as the gateway.

use spillway::config::{Secret, TargetKind};

use crate::setup::{BOTH, config, network, plain};
use crate::sink::Sink;

#[tokio::test]
async fn every_request_carries_its_headers() {
    for protocol in BOTH {
        let sink = Sink::start().await;
        let mut network = network(protocol, &sink.url());
        network.headers = vec![("x-tenant".to_owned(), Secret::new("gateway")), ("x-a".to_owned(), Secret::new("1"))];
        let mut config = config(TargetKind::Network(network));
        config.cluster = "central".to_owned();
        let hub = spillway::target::build(&config, "edge-7").unwrap();

        hub.send(&plain()).await;
        let mut replayed = plain();
        replayed.replay = true;
        replayed.batch.headers = [
            ("x-scope-orgid".into(), "team".into()),
            ("x-tenant".into(), "forged".into()),
            ("content-encoding".into(), "br".into()),
            ("spillway-batch-id".into(), "forged".into()),
            ("grpc-timeout".into(), "1n".into()),
            ("not a header".into(), "x".into()),
        ]
        .into();
        hub.send(&replayed).await;

        let seen = sink.seen();
        for request in &seen {
            assert_eq!(request.header("x-source-cluster"), "edge-7");
            assert_eq!(request.header("x-target-cluster"), "central");
            assert_eq!(request.header("x-tenant"), "gateway");
            assert_eq!(request.headers.get_all("x-tenant").iter().count(), 1);
            assert_eq!(request.header("x-a"), "1");
            assert_eq!(request.header("spillway-batch-id"), plain().id.to_string());
            assert_eq!(request.header("content-encoding"), "");
            assert_ne!(request.header("grpc-timeout"), "1n");
        }
        assert_eq!((seen[0].header("spillway-replay"), seen[1].header("spillway-replay")), ("", "1"));
        assert_eq!((seen[0].header("x-scope-orgid"), seen[1].header("x-scope-orgid")), ("", "team"));
    }
}

#[tokio::test]
async fn what_is_not_configured_is_not_sent() {
    for protocol in BOTH {
        let sink = Sink::start().await;
        spillway::target::build(&config(TargetKind::Network(network(protocol, &sink.url()))), "")
            .unwrap()
            .send(&plain())
            .await;
        let seen = sink.only();
        for header in ["x-source-cluster", "x-target-cluster", "spillway-replay", "authorization"] {
            assert!(!seen.headers.contains_key(header), "{header}");
        }
    }
}
