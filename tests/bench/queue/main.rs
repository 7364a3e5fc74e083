//! The queue by itself, beside plain writes on the same disk in the same run.
//!
//! `cargo bench --bench queue [-- GIB [DIRECTORY [PART [BYTES]]]]`: a backlog of GIB (10) in DIRECTORY (the target folder); of the
//! parts `intake`, `latency` and `backlog` only the one that is named, the last with requests of BYTES (128 KiB). Contestants take
//! turns, so that other work on the disk falls on both, and what is printed is the median of the rounds.
#![allow(clippy::print_stdout, reason = "a bench prints its table")]

mod backlog;
mod disk;
mod load;
mod usage;
#[path = "../volume.rs"]
mod volume;

use std::path::{Path, PathBuf};
use std::time::Duration;

use spillway::config::{QueueConfig, QueueSize};
use spillway::queue::Queue;
use tempfile::TempDir;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const MIB: u64 = 1 << 20;
/// The request of which the figures speak.
const REQUEST: usize = 128 << 10;
const ROUNDS: usize = 5;
/// Payload of one round.
const ROUND: u64 = 256 * MIB;
/// Requests of a round at a steady pace, and rounds of those.
const PACED: u32 = 1500;
const LATENCY_ROUNDS: usize = 9;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let gib = arguments.first().map_or(10.0, |gib| gib.parse().expect("a number of GiB"));
    let place = arguments.get(1).map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let wanted = |part: &str| arguments.get(2).is_none_or(|only| only == part);
    runtime.block_on(async {
        if wanted("intake") {
            intake(&place).await;
        }
        if wanted("latency") {
            latency(&place).await;
        }
        if wanted("backlog") {
            let request = arguments.get(3).map_or(REQUEST, |bytes| bytes.parse().expect("a number of bytes"));
            backlog::run(&place, (gib * 1024.0) as u64 * MIB, request).await;
        }
    });
}

/// P3 and P6: what is taken and settled at once, beside plain writes.
async fn intake(place: &Path) {
    println!("intake of 128 KiB requests, each leased and settled at once ({ROUNDS} rounds of {} MiB)", ROUND / MIB);
    let senders = [1, 8, 32];
    let (mut plain, mut taken) = (Vec::new(), senders.map(|_| Vec::new()));
    let (mut groups, mut written, mut cpu) = (senders.map(|_| 0.0), senders.map(|_| 0.0), senders.map(|_| 0.0));
    for _ in 0..ROUNDS {
        plain.push(disk::plain(place, ROUND / 2));
        for (line, in_flight) in senders.into_iter().enumerate() {
            let (queue, _folder) = open(place);
            let before = usage::Usage::now(place);
            let speed = load::through(&queue, ROUND, REQUEST, in_flight).await;
            let seen = queue.snapshot();
            queue.close().await;
            let used = usage::Usage::now(place).since(&before);
            taken[line].push(speed);
            groups[line] = seen.commit_batches as f64 / seen.commit_groups as f64;
            written[line] += used.written / (ROUND as f64 * ROUNDS as f64);
            cpu[line] += used.cpu / (ROUND as f64 / 1e9 * ROUNDS as f64);
        }
    }
    println!("  {:<34}{:>7.0} MB/s", "plain: 1 MiB writes, each synced", median(&plain) / 1e6);
    for (line, in_flight) in senders.into_iter().enumerate() {
        let ratios: Vec<f64> = taken[line].iter().zip(&plain).map(|(taken, plain)| taken / plain).collect();
        println!(
            "  {:<34}{:>7.0} MB/s  {:>4.0} % of plain  {:>5.1} a group  {:.2} device bytes a byte  {:.2} CPU s a GB",
            format!("{in_flight} in flight"),
            median(&taken[line]) / 1e6,
            median(&ratios) * 100.0,
            groups[line],
            written[line],
            cpu[line],
        );
    }
}

/// P4: time to OK at half load, beside plain synced writes at the same pace. The load follows what the disk gives in the moment.
///
/// Whoever writes at a pace meets stalls of the machine that one who writes without a pause meets once in a thousand writes, and all
/// that was due meanwhile waits. So the same is asked of all, and a ratio is one of the same round.
async fn latency(place: &Path) {
    println!(
        "time to OK of 128 KiB requests at half of what 32 senders get through, beside plain synced writes at that pace"
    );
    let names = ["time to OK", "plain: 4 KiB", "plain: 4 KiB, each after the last", "plain: 128 KiB"];
    let mut rounds = names.map(|_| Vec::new());
    for _ in 0..LATENCY_ROUNDS {
        let (queue, _folder) = open(place);
        let rate = load::through(&queue, ROUND / 2, REQUEST, 32).await;
        let pause = Duration::from_secs_f64(REQUEST as f64 / (rate / 2.0));
        let taken = [
            load::paced(&queue, PACED, REQUEST, pause).await,
            disk::syncs(place, PACED, 4096, pause),
            disk::syncs(place, PACED, 4096, Duration::ZERO),
            disk::syncs(place, PACED, REQUEST, pause),
        ];
        queue.close().await;
        for (rounds, mut taken) in rounds.iter_mut().zip(taken) {
            rounds.push([0.5, 0.99].map(|share| quantile(&mut taken, share)));
        }
    }
    for (name, taken) in names.iter().zip(&rounds) {
        let [half, most] = [0, 1].map(|which| {
            let times: Vec<f64> = taken.iter().map(|round| round[which]).collect();
            let ratios: Vec<f64> = rounds[0].iter().zip(taken).map(|(ok, plain)| ok[which] / plain[which]).collect();
            format!("{:>8.2} ms, of which to OK is {:>5.2} times", median(&times) * 1e3, median(&ratios))
        });
        println!("  {name:<34}p50{half}, p99{most}");
    }
}

fn config(directory: &Path) -> QueueConfig {
    QueueConfig { directory: directory.to_owned(), max_size: QueueSize::Bytes(64 << 30), ..QueueConfig::default() }
}

fn open(place: &Path) -> (Queue, TempDir) {
    let folder = tempfile::tempdir_in(place).expect("a folder");
    (Queue::open(&config(folder.path())).expect("the queue opens"), folder)
}

fn median(values: &[f64]) -> f64 {
    quantile(&mut values.to_vec(), 0.5)
}

fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share) as usize]
}
