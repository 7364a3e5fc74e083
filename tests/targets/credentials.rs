//! Scenario: a projected token is rotated while the gateway runs.
//! Guarantee: requests carry the new one within seconds, without a restart, and the old one until then.

use std::fs;
use std::time::{Duration, Instant};

use spillway::config::TargetAuth;

use crate::setup::{BOTH, build, network, plain};
use crate::sink::Sink;

#[tokio::test]
async fn a_rotated_token_is_sent() {
    for protocol in BOTH {
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join("token");
        fs::write(&token, "first\n").unwrap();
        let sink = Sink::start().await;
        let mut config = network(protocol, &sink.url());
        config.auth = TargetAuth { bearer_token_file: Some(token.clone()), basic_file: None };
        let hub = build(config);
        hub.send(&plain()).await;
        assert_eq!(sink.only().header("authorization"), "Bearer first");

        fs::write(dir.path().join("new"), "second").unwrap();
        fs::rename(dir.path().join("new"), &token).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            hub.send(&plain()).await;
            match sink.seen().last().unwrap().header("authorization") {
                "Bearer second" => break,
                other => assert_eq!(other, "Bearer first"),
            }
            assert!(Instant::now() < deadline, "the new token is not used");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
