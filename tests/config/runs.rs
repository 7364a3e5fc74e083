//! Scenario: `spillway run` without a file, by variables and options alone, one of them unwise, then SIGTERM.
//! Guarantee: the options' directory is used, the ports file tells the ports once it accepts, logs are JSON when asked for,
//! what is unwise is a warning in them, and the process ends with code 0.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::spillway;

#[test]
fn variables_and_options_are_enough_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "run",
        "--data-dir",
        "queue",
        "--ports-file",
        "ports.json",
        "--log",
        "info,config=debug",
        "--set",
        "receivers.otlp.protocols={grpc: {endpoint: 127.0.0.1:0}}",
        "--set",
        "admin.endpoint=127.0.0.1:0",
        "--set",
        "telemetry.log_format=json",
        "--set",
        "shutdown.linger=0",
    ];
    let mut child = spillway(folder.path(), &args)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://hub.invalid:4317")
        .env("SPILLWAY_QUEUE_DIRECTORY", "not-here")
        .env("CLUSTER_NAME", "Prod")
        .stderr(Stdio::from(fs::File::create(folder.path().join("log")).unwrap()))
        .spawn()
        .unwrap();
    let log = || fs::read_to_string(folder.path().join("log")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let ports: Value = loop {
        if let Ok(text) = fs::read_to_string(folder.path().join("ports.json")) {
            break serde_json::from_str(&text).unwrap();
        }
        assert!(child.try_wait().unwrap().is_none() && Instant::now() < deadline, "no start:\n{}", log());
        std::thread::yield_now();
    };
    assert!(ports["grpc"].as_str().unwrap().starts_with("127.0.0.1:") && ports["http"].is_null(), "{ports}");
    assert!(folder.path().join("queue").is_dir() && !folder.path().join("not-here").exists());
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", log());
    let first: Value = serde_json::from_str(log().lines().next().unwrap()).unwrap();
    assert!(first["message"].as_str().unwrap().contains("RocksDB"), "{first}");
    let warned = log().lines().filter(|line| line.contains("WARN")).any(|line| {
        line.contains("environment variable CLUSTER_NAME: `cluster.name` is `Prod`; expected <provider>-<region>-")
    });
    assert!(warned, "{}", log());
}
