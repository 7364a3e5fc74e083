//! Scenario: batches of all signals and encodings are sent to a file, many at once, and its lines are read back.
//! Guarantee: one whole line a request, each a valid OTLP JSON request of its signal that says what was sent.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use futures_util::future::join_all;
use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;
use spillway::otlp::json;

use crate::setup::{file, file_target, request, shipment};

fn key(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "resourceSpans",
        Signal::Metrics => "resourceMetrics",
        Signal::Logs => "resourceLogs",
    }
}

#[tokio::test]
async fn lines_are_requests_as_they_came() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("backup").join("otlp.jsonl");
    let disk = file_target(file(&path));
    assert!(!path.exists(), "building a target writes nothing");

    let names: Vec<_> = (0..200).map(|n| format!("item {n} \u{2028} \"quoted\"\n")).collect();
    let shipments: Vec<_> =
        names.iter().enumerate().map(|(n, name)| shipment(Signal::ALL[n % 3], Encoding::ALL[n % 3], name)).collect();
    let answers = join_all(shipments.iter().map(|shipment| disk.send(shipment))).await;
    assert!(answers.iter().all(|answer| *answer == Answer::accepted()), "{answers:?}");
    assert!(disk.round_trip().is_some());

    let text = fs::read_to_string(&path).unwrap();
    assert!(text.ends_with('\n'));
    let mut found: Vec<_> = text
        .split_terminator('\n')
        .map(|line| {
            let signal = Signal::ALL.into_iter().find(|s| line.starts_with(&format!("{{\"{}\"", key(*s)))).unwrap();
            (signal, json::from_json(signal, line.as_bytes()).unwrap())
        })
        .collect();
    let mut sent: Vec<_> = names.iter().enumerate().map(|(n, name)| (Signal::ALL[n % 3], name)).collect();
    let mut sent: Vec<_> = sent.drain(..).map(|(signal, name)| (signal, request(signal, name))).collect();
    found.sort_by(|a, b| a.1.cmp(&b.1));
    sent.sort_by(|a, b| a.1.cmp(&b.1));
    assert!(found == sent, "{} lines", found.len());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Scenario: a stored body is damaged.
/// Guarantee: it is refused, as a server would, and the others are written.
#[tokio::test]
async fn a_damaged_body_is_refused_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("otlp.jsonl");
    let disk = file_target(file(&path));
    let good = shipment(Signal::Logs, Encoding::Gzip, "good");
    let mut damaged = good.clone();
    damaged.batch.body = damaged.batch.body.slice(..20);
    let mut other = shipment(Signal::Logs, Encoding::Identity, "x");
    other.batch.body = bytes::Bytes::from_static(b"\xff\xff\xff");
    other.batch.inflated_len = 3;
    let answers = join_all([&good, &damaged, &other, &good].map(|shipment| disk.send(shipment))).await;
    assert_eq!((&answers[0], &answers[3]), (&Answer::accepted(), &Answer::accepted()));
    for refused in &answers[1..3] {
        assert!(matches!(refused, Answer::Http { status: 400, .. }), "{refused}");
    }
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
}

/// Scenario: a send to a file is given up before the writer came to it.
/// Guarantee: the target goes on; what was given up is written whole or not at all.
#[tokio::test]
async fn a_send_that_is_given_up_leaves_whole_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("otlp.jsonl");
    let disk = file_target(file(&path));
    let shipment = shipment(Signal::Logs, Encoding::Gzip, "x");
    for _ in 0..50 {
        let mut send = disk.send(&shipment);
        let _ = futures_util::poll!(&mut send);
        drop(send);
    }
    assert_eq!(disk.send(&shipment).await, Answer::accepted());
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.ends_with('\n') && text.lines().all(|line| json::from_json(Signal::Logs, line.as_bytes()).is_ok()));
}
