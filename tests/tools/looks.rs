//! Scenario: a queue of 15 batches of 150 items is listed, counted and verified, beside a gateway and offline.
//! Guarantee: both ways say the same: each batch stands in the list, the books agree with the index, all records are sound.

use std::process::Command;

use crate::support::gateway::Home;
use crate::{Said, WAYS, Way, books, command, filled, spillway};

#[tokio::test]
async fn both_ways_tell_the_same() {
    for way in WAYS {
        let home = Home::new();
        let _gateway = filled(&home, way, 5).await;
        let list = spillway(&home, "queue ls --json").fine().list();
        assert_eq!(list.len(), 15, "{way:?}");
        assert!(list.iter().all(|entry| entry["items"] == 10 && entry["state"] == "queued"), "{list:?}");
        assert_eq!(books(&home, "accepted"), 150);
        let report = spillway(&home, "queue verify --json").fine().json();
        assert_eq!((&report["ok"], &report["signals"]["logs"]["items"]), (&true.into(), &50.into()), "{report}");

        for (words, listed) in [
            ("queue ls --json --signal logs,traces", 10),
            ("queue ls --json --older-than 1h", 0),
            ("queue ls --json --newer-than 1h --limit 7", 7),
            ("queue ls --json --limit 0", 15),
            ("queue ls --json --state parked,leased", 0),
        ] {
            assert_eq!(spillway(&home, words).fine().list().len(), listed, "{way:?} {words}");
        }
        let table = spillway(&home, "queue ls --limit 2").fine();
        assert_eq!(table.out.lines().count(), 3, "{table}");
        assert!(table.out.contains("traces/1") && table.err.contains("--limit 0"), "{table}");
        let stats = spillway(&home, "queue stats").fine().out;
        assert_eq!(stats.contains("offline"), way == Way::Offline, "{stats}");
        assert!(!stats.contains('\x1b'), "colors without a terminal");
    }
}

/// The directory is found by the configuration, by its own name, by the environment, and by the socket.
#[tokio::test]
async fn the_queue_is_found_however_it_is_named() {
    let home = Home::new();
    let _gateway = filled(&home, Way::BesideAGateway, 1).await;
    let spillway = |words: &str| -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spillway"));
        command.args(words.split_whitespace()).current_dir(home.path()).output().unwrap().into()
    };
    for words in [
        "queue ls --json --config spillway.yaml",
        "queue --dir queue ls --json",
        "queue ls --data-dir queue --json",
        "queue ls --socket queue/admin.sock --json",
    ] {
        assert_eq!(spillway(words).fine().list().len(), 3, "{words}");
    }
    let mut by_environment = command(&home, "queue ls --json");
    by_environment.env("SPILLWAY_CONFIG", "spillway.yaml");
    assert_eq!(Said::from(by_environment.output().unwrap()).fine().list().len(), 3);
}
