//! Scenario: a directory that is held, of a newer release, without a queue; a record that is damaged.
//! Guarantee: a sentence that names what and where, the documented exit code, nothing touched; damage is found, named, and left
//! out of an export that has all else.

use std::fs;
use std::path::Path;

use crate::support::gateway::Home;
use crate::{Way, filled, numbers, spillway};

#[tokio::test]
async fn a_directory_that_somebody_else_holds_is_left_alone() {
    let home = Home::new();
    filled(&home, Way::Offline, 1).await;
    let lock = fs::File::open(home.path().join("queue/spillway.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let said = spillway(&home, "queue ls");
    assert_eq!(said.code, 69, "{said}");
    assert!(said.err.contains("spillway.lock is held by process") && said.err.contains("admin.sock"), "{said}");
    drop(lock);
    assert_eq!(spillway(&home, "queue ls --json").fine().list().len(), 3);
}

#[tokio::test]
async fn a_store_of_a_newer_release_is_not_touched() {
    let home = Home::new();
    filled(&home, Way::Offline, 1).await;
    fs::write(home.path().join("queue/spillway.format"), "999\n").unwrap();
    let before = files(&home.path().join("queue/store"));
    for words in ["queue ls", "queue purge --all --yes", "dead ls", "drain"] {
        let said = spillway(&home, words);
        assert_eq!(said.code, 74, "{words}: {said}");
        assert!(said.err.contains("has format 999, this release reads up to"), "{said}");
    }
    assert_eq!(files(&home.path().join("queue/store")), before);
}

#[test]
fn no_queue_is_made_where_there_is_none() {
    let home = Home::new();
    let said = spillway(&home, "queue stats");
    assert_eq!(said.code, 73, "{said}");
    assert!(said.err.contains("there is no queue in") && said.err.contains("--dir"), "{said}");
    assert!(!home.path().join("queue").exists());
    fs::write(home.path().join("queue"), "a file").unwrap();
    assert_eq!(spillway(&home, "queue stats").code, 73);
}

#[tokio::test]
async fn a_damaged_record_is_named_and_all_else_is_exported() {
    let home = Home::new();
    filled(&home, Way::Offline, 3).await;
    spillway(&home, "queue verify").fine(); // at an open the log becomes files
    let body = spillway::otlp::inflate::Deflater::new()
        .gzip(&crate::support::items::request(spillway::batch::Signal::Logs, 10..20));
    let mut damaged = Vec::new();
    for (name, mut bytes) in files(&home.path().join("queue/store")) {
        if let Some(at) = bytes.windows(body.len()).position(|window| window == body) {
            bytes[at + body.len() / 2] ^= 1;
            fs::write(home.path().join("queue/store").join(&name), bytes).unwrap();
            damaged.push(name);
        }
    }
    assert!(matches!(&damaged[..], [name] if name.ends_with(".blob")), "{damaged:?}");
    let said = spillway(&home, "queue verify");
    assert_eq!(said.code, 1, "{said}");
    assert!(said.out.contains("logs/2: ") && said.out.contains("logs: 2 batches sound"), "{said}");
    let said = spillway(&home, "queue export");
    assert_eq!(said.code, 1, "{said}");
    assert!(said.err.contains("logs/2: ") && said.err.contains("1 batch cannot be read"), "{said}");
    assert_eq!(numbers(&said.out).len(), 80);
}

/// Names and contents of the files in a directory.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}
