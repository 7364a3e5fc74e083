//! Scenario: a gateway whose hub is away is closed or killed, files of its queue are damaged or lost, and it starts again; then
//! the hub comes back. Guarantee: it starts and serves; what is acknowledged and still readable arrives as it was; what
//! is missing is counted by metrics and status, to the item; the log says what was found.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use spillway::batch::Signal;

use crate::support::client::{Client, Transport};
use crate::support::gateway::Home;
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};
use crate::to;

/// Requests of each signal, and items in one.
const REQUESTS: u64 = 20;
const ITEMS: u64 = 5;

/// The files of the store whose names begin or end like that.
fn files(queue: &Path, like: &str) -> Vec<PathBuf> {
    let inside = fs::read_dir(queue.join("store")).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut files: Vec<_> = inside.filter(|path| name(path).starts_with(like) || name(path).ends_with(like)).collect();
    files.sort();
    files
}

fn remove(queue: &Path, like: &str) {
    let files = files(queue, like);
    assert!(!files.is_empty(), "no {like}");
    files.iter().for_each(|file| fs::remove_file(file).unwrap());
}

/// Damages a queue, and what it costs: whether batches may be missing.
type Damage = (&'static str, bool, fn(&Path), bool);

const DAMAGES: [Damage; 6] = [
    (
        "MANIFEST and CURRENT are lost",
        true,
        |queue| ["MANIFEST", "CURRENT"].iter().for_each(|like| remove(queue, like)),
        false,
    ),
    (
        "the format file means nothing",
        false,
        |queue| fs::write(queue.join("spillway.format"), b"\0\xff").unwrap(),
        false,
    ),
    ("all tables are lost", true, |queue| remove(queue, ".sst"), false),
    (
        "a page in the middle of the log is zeroed",
        true,
        |queue| {
            let log = files(queue, ".log").pop().unwrap();
            let mut bytes = fs::read(&log).unwrap();
            let at = bytes.len() / 2;
            bytes[at..at + 4096].fill(0);
            fs::write(log, bytes).unwrap();
        },
        true,
    ),
    ("the log is lost after a kill", true, |queue| remove(queue, ".log"), true),
    (
        "a blob file is cut",
        true,
        |queue| {
            let blob = files(queue, ".blob").remove(0);
            let bytes = fs::read(&blob).unwrap();
            fs::write(blob, &bytes[..bytes.len() / 2]).unwrap();
        },
        true,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_starts_on_a_damaged_queue_and_says_what_is_missing() {
    for damage in DAMAGES {
        start_on(damage).await;
    }
}

async fn start_on((what, killed, damage, costs): Damage) {
    let mut hub = Hub::start().await;
    hub.take_away().await;
    let config = to(&hub.url());
    let home = Home::new();
    let mut acknowledged = HashMap::<Signal, BTreeSet<u64>>::new();
    for life in 0..2 {
        let gateway = home.start(&config); // the second open moves what the log held into tables and blob files
        let client = Client::of(Transport::Grpc, gateway.grpc);
        for signal in Signal::ALL {
            for number in life * REQUESTS..(life + 1) * REQUESTS {
                let ids = number * ITEMS..(number + 1) * ITEMS;
                assert!(client.send_padded(signal, ids.clone(), 3000).await);
                acknowledged.entry(signal).or_default().extend(ids);
            }
        }
        if killed { gateway.kill() } else { assert!(gateway.stop().success()) }
    }
    damage(&home.path().join("queue"));

    let gateway = home.start(&config);
    hub.bring_back().await;
    until(what, seconds(30), || gateway.books("queued") == 0).await;
    gateway.assert_balanced();
    let missing = hub.missing(&acknowledged).len();
    let metrics = |name, reason| gateway.metric(name, &[reason]) as usize;
    let counted = metrics("spillway_dropped_items", "store_damage") + metrics("spillway_dead_items", "corrupt");
    assert_eq!(missing, counted, "{what}:\n{}", gateway.log());
    assert_eq!(missing > 0, costs, "{what}: {missing} are missing");
    let (code, status) = gateway.get("/status");
    let said = status.contains("store_damage") || status.contains("corrupt");
    assert!(code == 200 && said == costs, "{what}: {status}");
    assert!(gateway.log().contains("ERROR"), "{what}:\n{}", gateway.log());
    let client = Client::of(Transport::Http, gateway.http);
    assert!(client.send(Signal::Logs, 9000..9005).await, "{what}: it takes no batches");
}
