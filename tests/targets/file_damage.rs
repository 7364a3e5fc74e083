//! Scenario: files that a kill has torn, that others write, move or own, and disks that are full.
//! Guarantee: whole lines only, nothing of anybody else's is touched, and no OK for what is not on the disk.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::{Answer, Break};
use spillway::otlp::json;
use spillway::target::Health;

use crate::setup::{file, file_target, shipment};

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    text.lines().map(str::to_owned).collect()
}

fn unwritten(answer: &Answer, words: &str) {
    let Answer::Broken { at: Break::Write, message } = answer else { panic!("{answer}") };
    assert!(message.contains(words), "{message:?} does not say {words:?}");
}

#[tokio::test]
async fn a_torn_line_is_cut_off_at_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("otlp.jsonl");
    let shipment = shipment(Signal::Logs, Encoding::Gzip, "whole");
    let long = "x".repeat(200_000);
    for torn in ["{\"resourceLogs\":[{\"sco", "\0\0\0\0", &format!("{{\"resourceLogs\":\"{long}")] {
        for before in [0, 1, 2] {
            let _ = fs::remove_file(&path);
            for _ in 0..before {
                assert_eq!(file_target(file(&path)).send(&shipment).await, Answer::accepted());
            }
            let mut text = fs::read(&path).unwrap_or_default();
            text.extend_from_slice(torn.as_bytes());
            fs::write(&path, text).unwrap();
            assert_eq!(file_target(file(&path)).send(&shipment).await, Answer::accepted());
            assert_eq!(lines(&path).len(), before + 1);
            assert!(lines(&path).iter().all(|line| json::from_json(Signal::Logs, line.as_bytes()).is_ok()));
        }
    }
}

#[tokio::test]
async fn a_file_of_another_kind_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    fs::write(&path, "dear diary\ntoday").unwrap();
    let disk = file_target(file(&path));
    unwritten(&disk.send(&shipment(Signal::Logs, Encoding::Gzip, "x")).await, "left alone");
    assert_eq!(fs::read_to_string(&path).unwrap(), "dear diary\ntoday");
    assert!(matches!(disk.probe().await, Health::Down(why) if why.contains("left alone")));
}

#[tokio::test]
async fn two_writers_do_not_share_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("otlp.jsonl");
    let shipment = shipment(Signal::Logs, Encoding::Gzip, "x");
    let (first, second) = (file_target(file(&path)), file_target(file(&path)));
    assert_eq!(first.send(&shipment).await, Answer::accepted());
    unwritten(&second.send(&shipment).await, "another process");
    drop(first);
    assert_eq!(second.send(&shipment).await, Answer::accepted(), "the lock ends with its holder");
    assert_eq!(lines(&path).len(), 2);
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("otlp.jsonl");
    let shipment = shipment(Signal::Logs, Encoding::Gzip, "x");
    let disk = file_target(file(&path));
    assert_eq!(disk.send(&shipment).await, Answer::accepted());
    fs::rename(&path, dir.path().join("taken")).unwrap();
    assert_eq!(disk.send(&shipment).await, Answer::accepted());
    assert_eq!((lines(&path).len(), lines(&dir.path().join("taken")).len()), (1, 1));
}

/// Scenario: the file leads to a device that is always full.
/// Guarantee: the answer says so, again and again, and a file with room works at once.
#[tokio::test]
async fn a_full_disk_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("otlp.jsonl");
    symlink("/dev/full", &path).unwrap();
    let shipment = shipment(Signal::Logs, Encoding::Gzip, "x");
    let disk = file_target(file(&path));
    for _ in 0..3 {
        unwritten(&disk.send(&shipment).await, "");
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(disk.send(&shipment).await, Answer::accepted());
    assert_eq!(lines(&path).len(), 1);
}
