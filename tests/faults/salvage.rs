//! Scenario: a backlog of 384 MiB (10 GiB in a release run) in a pod with a limit of 256 MiB. Its MANIFEST is lost while the gateway
//! is down; then a table is damaged, which is met while it drains.
//! Guarantee: each time the store is made anew from what is left; the kernel never ends the process for memory; no more room is
//! needed than for the backlog and what a running store may take beside it; nothing is missing, and the books balance.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use spillway::batch::{Batch, Encoding, Signal};
use spillway::config::{QueueConfig, QueueSize};
use spillway::queue::Queue;

use crate::pod::Pod;
use crate::queues::MIB;
use crate::support::gateway::Home;
use crate::support::hub::Hub;
use crate::support::items;
use crate::support::wait::{seconds, until};
use crate::{count, to};

const BODY: usize = 128 << 10;
/// Logs, written and waiting to be written over, memtables on their way to files, and the file that is being copied.
const BESIDE: u64 = 512 * MIB;

#[tokio::test(flavor = "multi_thread")]
async fn a_large_backlog_is_salvaged_in_a_small_pod() {
    let Some(pod) = Pod::new() else { return };
    let batches = count(384, 10 << 10) as u64 * MIB / BODY as u64;
    let mut hub = Hub::start().await;
    hub.forget();
    hub.take_away().await;
    let config = format!("{}\nreplay: {{rate: 10GiB}}", to(&hub.url()));
    let mut home = Home::new();
    let queue = home.path().join("queue");
    fill(&queue, batches).await;
    home.queue = "max_size: 64GiB".to_owned();
    home.wrapper = pod.wrapper();
    home.patience = seconds(900);
    let room = Room::watch(&queue);
    eprintln!("{} MiB", room.most() / MIB);

    let store = queue.join("store");
    for entry in fs::read_dir(&store).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("MANIFEST") || name == "CURRENT" {
            fs::remove_file(path).unwrap();
        }
    }
    let gateway = home.start(&config);
    eprintln!("without MANIFEST: {:?}, {}; {} MiB at most", gateway.started_in, pod.usage(), room.most() / MIB);
    assert!(pod.is_well(), "{}", gateway.log());
    gateway.assert_balanced();
    assert_eq!((gateway.books("queued"), gateway.books("dropped")), (batches, 0), "{}", gateway.log());
    assert!(gateway.stop().success());

    let tables = fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().path());
    let tables = tables.filter(|path| path.extension().is_some_and(|ending| ending == "sst"));
    let table = tables.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(&table).unwrap();
    bytes[20] ^= 1;
    fs::write(table, bytes).unwrap();
    hub.bring_back().await;
    let began = Instant::now();
    let gateway = home.start(&config);
    let reopened = || gateway.log().matches("made anew").count() == 2 && gateway.get("/readyz").0 == 200;
    until("the store is made anew", seconds(900), || !pod.is_well() || reopened()).await;
    eprintln!("with a bad table: {:?}, {}; {} MiB at most", began.elapsed(), pod.usage(), room.most() / MIB);
    until("it drains", seconds(900), || !pod.is_well() || gateway.books("queued") == 0).await;
    eprintln!("drained: {:?}, {}", began.elapsed(), pod.usage());
    assert!(pod.is_well(), "{}", gateway.log());
    gateway.assert_balanced();
    assert_eq!((gateway.books("dropped"), gateway.books("dead")), (0, 0), "{}", gateway.log());
    assert_eq!(hub.missing(&HashMap::from([(Signal::Logs, (0..batches).collect::<BTreeSet<_>>())])), []);
    let allowed = batches * BODY as u64 + BESIDE;
    assert!(room.most() <= allowed, "{} MiB, {} allowed", room.most() / MIB, allowed / MIB);
}

/// Fills a queue and closes it.
async fn fill(directory: &Path, batches: u64) {
    let mut config = QueueConfig { directory: directory.to_owned(), ..QueueConfig::default() };
    config.max_size = QueueSize::Bytes(64 << 30);
    let queue = Queue::open(&config).unwrap();
    let mut padding = Vec::new();
    items::pad(&mut padding, BODY);
    let (next, padding) = (Arc::new(AtomicU64::new(0)), Arc::new(padding));
    let senders = [0; 32].map(|_| {
        let (queue, next, padding) = (queue.clone(), Arc::clone(&next), Arc::clone(&padding));
        tokio::spawn(async move {
            loop {
                let id = next.fetch_add(1, Relaxed);
                if id >= batches {
                    return;
                }
                let body = [items::request(Signal::Logs, id..id + 1), padding.to_vec()].concat();
                let batch = Batch {
                    signal: Signal::Logs,
                    encoding: Encoding::Identity,
                    items: 1,
                    inflated_len: body.len() as u32,
                    received_at_ms: 1,
                    headers: [].into(),
                    body: body.into(),
                };
                queue.append(batch).await.unwrap();
            }
        })
    });
    for sender in senders {
        sender.await.unwrap();
    }
    queue.close().await;
}

/// The most that a directory took on disk.
struct Room(Arc<AtomicU64>);

impl Room {
    /// Looks at it ten times a second, until nobody asks any more.
    fn watch(directory: &Path) -> Room {
        let (most, directory) = (Arc::new(AtomicU64::new(taken(directory, &mut HashSet::new()))), directory.to_owned());
        let seen = Arc::downgrade(&most);
        std::thread::spawn(move || {
            while let Some(most) = seen.upgrade() {
                most.fetch_max(taken(&directory, &mut HashSet::new()), Relaxed);
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Room(most)
    }

    fn most(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Bytes of all files in a directory, each counted once whatever its links; without the ballast, which is there to be given up.
fn taken(directory: &Path, seen: &mut HashSet<u64>) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => taken(&entry.path(), seen),
        Ok(metadata) if entry.file_name() != "ballast" && seen.insert(metadata.ino()) => metadata.blocks() * 512,
        _ => 0,
    };
    entries.map(of).sum()
}
