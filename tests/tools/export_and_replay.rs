//! Scenario: a queue is exported, purged, and replayed from the file, beside a gateway and offline.
//! Guarantee: the queue holds the same items as before, each once, by their numbers; each step stands in the books.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::gateway::Home;
use crate::{WAYS, Way, books, fed, filled, numbers, read, sent, spillway};

#[tokio::test]
async fn what_was_exported_and_purged_comes_back_whole() {
    for way in WAYS {
        let home = Home::new();
        let gateway = filled(&home, way, 20).await;
        let file = home.path().join("all.jsonl");
        let said = spillway(&home, "queue export all.jsonl").fine();
        assert!(said.out.contains("60 batches (600 items"), "{said}");
        assert_eq!(numbers(&read(&file)), sent(20), "{way:?}");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(numbers(&spillway(&home, "queue export").fine().out), sent(20), "on standard output");

        let said = spillway(&home, "queue purge --all --yes --json").fine().json();
        assert_eq!(said["signals"]["metrics"]["items"], 200, "{said}");
        assert_eq!((books(&home, "queued"), books(&home, "dropped")), (0, 600));
        assert_eq!(spillway(&home, "queue export").fine().out, "");

        let said = spillway(&home, "queue replay all.jsonl --json").fine().json();
        assert_eq!((&said["batches"], &said["items"]), (&60.into(), &600.into()));
        assert_eq!((books(&home, "queued"), books(&home, "imported")), (600, 600));
        assert_eq!(numbers(&spillway(&home, "queue export -").fine().out), sent(20), "{way:?}");
        spillway(&home, "queue verify").fine();

        // A file that was brought in is not brought in again, unless it is asked for.
        let said = spillway(&home, "queue replay all.jsonl").fine();
        assert!(said.err.contains("was brought in before"), "{said}");
        assert_eq!(books(&home, "queued"), 600);
        spillway(&home, "queue replay all.jsonl --again").fine();
        fed(&home, "queue replay -", read(&file).as_bytes()).fine();
        assert_eq!((books(&home, "queued"), books(&home, "imported")), (1800, 1800));
        if let Some(gateway) = gateway {
            gateway.assert_balanced();
        }
    }
}

/// Filters leave out what they say, in an export as in a purge.
#[tokio::test]
async fn filters_narrow_what_is_done() {
    let home = Home::new();
    filled(&home, Way::Offline, 3).await;
    let exported = |words: &str| spillway(&home, words).fine().out.lines().count();
    assert_eq!(exported("queue export --signal logs"), 3);
    assert_eq!(exported("queue export --limit 4"), 4);
    assert_eq!(exported("queue export --older-than 1h"), 0);
    assert_eq!(exported("queue export --state owed,parked"), 0);

    let would = spillway(&home, "queue purge --all --dry-run").fine();
    assert!(would.out.contains("logs: 3 batches (30 items"), "{would}");
    spillway(&home, "queue purge --older-than 1h --yes").fine();
    assert_eq!(books(&home, "queued"), 90, "nothing is that old");
    spillway(&home, "queue purge --below logs/3 --yes").fine();
    let left: Vec<_> = spillway(&home, "queue ls --signal logs --json").fine().list();
    assert_eq!((left.len(), left[0]["key"].as_str()), (1, Some("3")));
    spillway(&home, "queue purge --older-than 0s --signal traces --yes").fine();
    assert_eq!((books(&home, "queued"), books(&home, "dropped")), (40, 50));
}
