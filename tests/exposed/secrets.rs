//! Scenario: a gateway with TLS, tokens and passwords gets requests with right and wrong ones, and logs all it can.
//! Guarantee: no secret stands in its log, its metrics, its status, or what `check` prints of its configuration.

use std::fs;
use std::process::Command;

use crate::support::gateway::Home;
use crate::{NOWHERE, raw};

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_not_told() {
    let mut home = Home::new();
    let (tokens, users) = (home.path().join("tokens"), home.path().join("users"));
    fs::write(&tokens, "hunter2-token\n").unwrap();
    fs::write(&users, "me:hunter2-password\n").unwrap();
    home.receivers = format!("auth: {{bearer_token_file: {}, basic_file: {}}}", tokens.display(), users.display());
    let config = format!("{NOWHERE}telemetry: {{log: trace}}\n");
    let gateway = home.start(&config);
    let basic = "Basic bWU6aHVudGVyMi1wYXNzd29yZA=="; // me:hunter2-password
    for (shown, code) in [
        ("Bearer hunter2-token", 200),
        (basic, 200),
        ("Bearer hunter2-wrong", 401),
        ("Basic bWU6aHVudGVyMi13cm9uZw==", 401), // me:hunter2-wrong
    ] {
        let headers = format!("content-type: application/x-protobuf\r\nauthorization: {shown}\r\n");
        assert_eq!(raw::post(gateway.http, &headers, b"").await, code, "{shown}");
    }
    // A broken file is told, and what stands in it is not.
    fs::write(&tokens, "hunter2-one hunter2-two\n").unwrap();
    let patience = crate::support::wait::seconds(60);
    crate::support::wait::until("the broken file is told", patience, || gateway.log().contains("line 1: a token is"))
        .await;
    fs::write(&tokens, "hunter2-token\n").unwrap();
    let check = Command::new(env!("CARGO_BIN_EXE_spillway"))
        .args(["check", "--config"])
        .arg(home.path().join("spillway.yaml"))
        .output()
        .unwrap();
    let shown = String::from_utf8([check.stdout, check.stderr].concat()).unwrap();
    assert!(shown.contains("bearer_token_file: "), "{shown}");
    for (place, text) in [
        ("check", shown),
        ("log", gateway.log()),
        ("metrics", gateway.get("/metrics").1),
        ("status", gateway.get("/status").1),
    ] {
        for secret in ["hunter2", "bWU6", "aHVudGVyMi"] {
            assert!(!text.contains(secret), "{place} tells {secret}");
        }
    }
}
