//! The queue by itself, beside plain writes on the same disk in the same run.
//!
//! `cargo bench --bench queue [-- MIB [DIRECTORY [outage]]]`: MIB of payload for each line (1024), in DIRECTORY (the target
//! folder); with `outage` the lines of a backlog alone.
#![allow(clippy::print_stdout, reason = "a bench prints its table")]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use spillway::batch::{Batch, Encoding, Signal};
use spillway::config::{QueueConfig, QueueSize};
use spillway::queue::{Lane, Queue, Settlement, Taker};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const MIB: usize = 1 << 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let mib = arguments.first().and_then(|mib| mib.parse().ok()).unwrap_or(1024);
    let place = arguments.get(1).map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    println!("{:<44}{:>8}{:>8}{:>10}{:>8}{:>10}", "", "MB/s", "group", "written", "CPU s", "peak MiB");
    let plain = plain_writes(&place, mib);
    println!("{:<44}{plain:>8.0}", "plain: 1 MiB writes, each synced");
    let lines: &[(usize, usize)] = match arguments.get(2) {
        Some(_) => &[],
        None => &[(128, 1), (128, 8), (128, 32), (16, 1), (16, 16), (16, 64)],
    };
    for &(kib, in_flight) in lines {
        let what = format!("{kib} KiB, {in_flight} in flight, all settled");
        runtime.block_on(drained(&place, &what, mib * MIB / (kib << 10), kib << 10, in_flight));
    }
    runtime.block_on(outage(&place, mib));
}

fn plain_writes(place: &Path, mib: usize) -> f64 {
    let folder = tempfile::tempdir_in(place).expect("a folder");
    let mut file = File::create(folder.path().join("plain")).expect("a file");
    let block = vec![7; MIB];
    let begun = Instant::now();
    for _ in 0..mib.min(512) {
        file.write_all(&block).and_then(|()| file.sync_data()).expect("a write");
    }
    (mib.min(512) * MIB) as f64 / 1e6 / begun.elapsed().as_secs_f64()
}

/// Everything that comes is leased and settled at once.
async fn drained(place: &Path, what: &str, count: usize, len: usize, in_flight: usize) {
    let (queue, _folder) = open(place);
    let before = Usage::now();
    let consumer = tokio::spawn(consume(queue.clone(), count));
    let begun = Instant::now();
    produce(&queue, count, len, in_flight).await;
    let seconds = begun.elapsed().as_secs_f64();
    consumer.await.expect("the consumer ends");
    let seen = queue.snapshot();
    queue.close().await;
    let group = seen.commit_batches as f64 / seen.commit_groups as f64;
    Usage::now().since(&before).print(what, count * len, seconds, group);
}

/// Nothing is taken for a while; then everything comes from disk, after a restart.
async fn outage(place: &Path, mib: usize) {
    let (queue, folder) = open(place);
    let (len, count) = (128 << 10, mib * 8);
    let before = Usage::now();
    let begun = Instant::now();
    produce(&queue, count, len, 8).await;
    Usage::now().since(&before).print(
        "128 KiB, 8 in flight, nothing settled",
        count * len,
        begun.elapsed().as_secs_f64(),
        0.0,
    );
    queue.close().await;
    let begun = Instant::now();
    let queue = Queue::open(&config(folder.path())).expect("the queue opens");
    println!("{:<44}{:>8.0} ms", "opened again", begun.elapsed().as_secs_f64() * 1e3);
    let before = Usage::now();
    let begun = Instant::now();
    consume(queue.clone(), count).await;
    Usage::now().since(&before).print(
        "128 KiB, the backlog drained from disk",
        count * len,
        begun.elapsed().as_secs_f64(),
        0.0,
    );
    let emptied = Instant::now();
    while size(&folder.path().join("store")) > 64 << 20 && emptied.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let left = size(&folder.path().join("store")) >> 20;
    println!("{:<44}{:>8.1} s, {left} MiB left", "space given back after", emptied.elapsed().as_secs_f64());
    queue.close().await;
}

fn config(directory: &Path) -> QueueConfig {
    QueueConfig { directory: directory.to_owned(), max_size: QueueSize::Bytes(64 << 30), ..QueueConfig::default() }
}

fn open(place: &Path) -> (Queue, tempfile::TempDir) {
    let folder = tempfile::tempdir_in(place).expect("a folder");
    (Queue::open(&config(folder.path())).expect("the queue opens"), folder)
}

async fn produce(queue: &Queue, count: usize, len: usize, in_flight: usize) {
    let senders = (0..in_flight).map(|sender| {
        let queue = queue.clone();
        tokio::spawn(async move {
            for _ in (sender..count).step_by(in_flight) {
                let batch = Batch {
                    signal: Signal::Logs,
                    encoding: Encoding::Gzip,
                    items: 1000,
                    inflated_len: len as u32,
                    received_at_ms: 1,
                    headers: [].into(),
                    body: Bytes::from(vec![7; len]),
                };
                queue.append(batch).await.expect("the batch is taken");
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.expect("a sender ends");
    }
}

async fn consume(queue: Queue, count: usize) {
    let mut taken = 0;
    while taken < count {
        let mut some = false;
        for lane in Lane::ALL {
            while let Some(lease) = queue.lease(Signal::Logs, lane, Taker::Primary).await {
                queue.settle(lease, Settlement::Delivered { rejected: 0 });
                (taken, some) = (taken + 1, true);
            }
        }
        if !some && taken < count {
            queue.ready(Signal::Logs).await;
        }
    }
}

fn size(store: &Path) -> u64 {
    let entries = fs::read_dir(store).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// What this process has used so far.
struct Usage {
    cpu: f64,
    written: u64,
    peak: u64,
}

impl Usage {
    fn now() -> Usage {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields: Vec<u64> =
            stat.rsplit(')').next().unwrap_or("").split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
        let number = |path: &str, name: &str| -> u64 {
            let text = fs::read_to_string(path).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or("");
            line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
        };
        Usage {
            cpu: fields.get(11..13).unwrap_or_default().iter().sum::<u64>() as f64 / 100.0,
            written: number("/proc/self/io", "write_bytes"),
            peak: number("/proc/self/status", "VmHWM") >> 10,
        }
    }

    fn since(&self, before: &Usage) -> Usage {
        Usage { cpu: self.cpu - before.cpu, written: self.written - before.written, peak: self.peak }
    }

    /// `written` is in bytes handed to the disk per byte of payload, `group` in batches.
    fn print(&self, what: &str, payload: usize, seconds: f64, group: f64) {
        let (speed, written) = (payload as f64 / 1e6 / seconds, self.written as f64 / payload as f64);
        println!("{what:<44}{speed:>8.0}{group:>8.1}{written:>10.2}{:>8.2}{:>10}", self.cpu, self.peak);
    }
}
