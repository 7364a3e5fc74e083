//! Scenario: files that are no OTLP JSON lines, files in the way, words that mean nothing.
//! Guarantee: the exit code says which, the sentence names file, line and remedy, and what was right is taken.

use std::fs;

use crate::support::gateway::Home;
use crate::{Way, books, fed, filled, spillway};

const GOOD: &str = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a"}}]}]}]}"#;

#[tokio::test]
async fn a_replay_ends_before_a_line_that_is_none() {
    let home = Home::new();
    filled(&home, Way::Offline, 0).await;
    let torn = &GOOD[..60];
    fs::write(home.path().join("torn.jsonl"), format!("{GOOD}\n\n{{\"other\":1}}\n{GOOD}\n{torn}")).unwrap();
    let said = spillway(&home, "queue replay torn.jsonl");
    assert_eq!(said.code, 65, "{said}");
    assert!(said.err.contains("torn.jsonl:3: it is no export request") && said.err.contains("--skip-bad"), "{said}");
    assert_eq!(books(&home, "imported"), 1, "what came before it");

    let said = spillway(&home, "queue replay torn.jsonl --skip-bad --json");
    assert_eq!(said.code, 1, "{said}");
    let report = said.json();
    assert_eq!((&report["taken_before"], &report["batches"]), (&2.into(), &1.into()), "{report}");
    assert!(report["bad"][1].as_str().unwrap().starts_with("torn.jsonl:5: column 60"), "{report}");
    assert_eq!(books(&home, "imported"), 2);

    let said = fed(&home, "queue replay -", b"\x1f\x8b\x08\x00gzip\n");
    assert!(said.code == 65 && said.err.contains("-:1: "), "{said}");
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_a_sentence() {
    let home = Home::new();
    filled(&home, Way::Offline, 1).await;
    fs::write(home.path().join("taken.jsonl"), "mine").unwrap();
    for (words, code, sentence) in [
        ("queue export taken.jsonl", 64, "--force"),
        ("queue export nowhere/x.jsonl", 73, "nowhere/x.jsonl cannot be written"),
        ("queue replay nowhere.jsonl", 64, "nowhere.jsonl cannot be read"),
        ("queue purge", 64, "--all"),
        ("queue purge --all --older-than 1h", 64, "cannot be used with"),
        ("queue ls --signal spans", 64, "expected traces, metrics or logs"),
        ("queue ls --older-than yesterday", 64, "such as 90s"),
        ("queue purge --below 17", 64, "such as logs/17"),
        ("dead show logs", 64, "such as logs/17"),
        ("dead replay --all logs/17", 64, "cannot be used with"),
        ("queue ls --config nowhere.yaml", 64, "nowhere.yaml"),
        ("queue ls --socket nowhere.sock", 69, "no gateway answers at nowhere.sock"),
    ] {
        let said = spillway(&home, words);
        assert_eq!(said.code, code, "{words}: {said}");
        assert!(said.err.contains(sentence), "{words}: {said}");
    }
    assert_eq!(fs::read_to_string(home.path().join("taken.jsonl")).unwrap(), "mine");
    spillway(&home, "queue export taken.jsonl --force").fine();
    let left: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains(".part")), "{left:?}");
    assert_eq!(books(&home, "queued"), 30);
}
