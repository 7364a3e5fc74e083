//! Scenario: `spillway check --connect` with a target that listens and one that does not.
//! Guarantee: each is told apart, in the order of the file, and the exit code is 1 while one is down.

use std::fs;
use std::net::TcpListener;

use crate::{err, out, spillway};

#[test]
fn targets_that_answer_are_told_from_those_that_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let listening = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let yaml = |fallback: &str| {
        format!(
            "targets:\n  near: {{protocol: otlp_grpc, endpoint: \"http://{}\", health: {{probe: connect}}}}\n  \
             gone: {{protocol: otlp_http, endpoint: \"http://{gone}\", health: {{probe: connect}}}}\n\
             chain: {{primary: near, fallback: {fallback}}}\n",
            listening.local_addr().unwrap()
        )
    };
    fs::write(folder.path().join("f.yaml"), yaml("[gone]")).unwrap();
    let output = spillway(folder.path(), &["check", "-c", "f.yaml", "--connect"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let shown = out(&output);
    let lines: Vec<&str> = shown.lines().filter(|line| line.starts_with("# target")).collect();
    assert!(lines.len() == 2 && lines[0].starts_with("# target near: up"), "{lines:?}");
    assert!(lines[1].starts_with("# target gone: down: "), "{lines:?}");
}
