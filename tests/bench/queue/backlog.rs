//! An outage: a backlog that grows, a restart on top of it, and its drain from a cold disk.

use std::path::Path;
use std::time::{Duration, Instant};

use spillway::batch::Signal;
use spillway::queue::{Lane, Queue};

use crate::usage::{self, Curve, Usage};
use crate::{MIB, REQUEST, ROUND, config, disk, load, median, open};

/// Rounds at each depth.
const ROUNDS: usize = 5;
/// Requests of one, at most: small ones take their time.
const MANY: u64 = 32 << 10;
const GIB: u64 = 1 << 30;

/// P5 to P9 with a backlog of so many bytes, which has to fit on the disk, in requests of `request` bytes.
pub(crate) async fn run(place: &Path, backlog: u64, request: usize) {
    let free = disk::free(place);
    assert!(free > backlog + backlog / 4 + 4 * GIB, "{} GiB free: too little for {}", free / GIB, backlog / GIB);
    let (queue, folder) = open(place);
    let store = folder.path().join("store");
    let curve = Curve::begin();
    let queue = grow(queue, place, backlog, request).await;
    println!("  resident MiB while it grew: {}", line(&curve.take(40)));
    let queue = restart(queue, place, folder.path()).await;
    curve.take(1);
    drain(&queue, &store, request).await;
    println!("  resident MiB while it drained: {}", line(&curve.take(40)));
    queue.close().await;
}

/// P6 and P9: what traffic costs beside a backlog of 1, 10 … GiB, and, in turn with that, in a queue without one.
async fn grow(queue: Queue, place: &Path, backlog: u64, request: usize) -> Queue {
    println!(
        "a backlog of {:.1} GiB in requests of {request} bytes, and traffic beside it that is settled at once",
        backlog as f64 / GIB as f64
    );
    let round = ROUND.min(MANY * request as u64);
    println!("  plain: 1 MiB writes, each synced: {:.0} MB/s", disk::plain(place, 2 * ROUND) / 1e6);
    let depths = [0, 1, 10, 20].map(|gib| gib * GIB).into_iter().filter(|depth| *depth < backlog).chain([backlog]);
    let (empty, _folder) = open(place);
    let mut depth = 0;
    for next in depths {
        if next > depth {
            let before = Usage::now(place);
            let speed = load::produce(&queue, next - depth, request, 32).await;
            let used = Usage::now(place).since(&before);
            println!(
                "  {:>5.1} GiB more, nothing settled: {:>4.0} MB/s, {:.2} device bytes a byte, {:.2} CPU s a GB",
                (next - depth) as f64 / GIB as f64,
                speed / 1e6,
                used.written / (next - depth) as f64,
                used.cpu / ((next - depth) as f64 / 1e9),
            );
            depth = next;
        }
        let mut costs = [const { Vec::new() }; 2];
        for _ in 0..ROUNDS {
            for (queue, costs) in [&empty, &queue].into_iter().zip(&mut costs) {
                usage::settle(place).await;
                let before = Usage::now(place);
                load::through(queue, round, request, 8).await;
                costs.push(Usage::now(place).since(&before).cpu / (round as f64 / 1e9));
            }
        }
        let ratios: Vec<f64> = costs[1].iter().zip(&costs[0]).map(|(beside, without)| beside / without).collect();
        println!(
            "  beside {:>5.1} GiB: {:.2} CPU s a GB, {:.2} times that without",
            depth as f64 / GIB as f64,
            median(&costs[1]),
            median(&ratios),
        );
    }
    empty.close().await;
    queue
}

/// P8: opening again, beside opening an empty queue whose logs are as full.
async fn restart(queue: Queue, place: &Path, folder: &Path) -> Queue {
    queue.close().await;
    let timed = |directory: &Path| {
        let begun = Instant::now();
        (Queue::open(&config(directory)).expect("the queue opens"), begun.elapsed().as_millis())
    };
    disk::forget(&folder.join("store"));
    let (queue, backlog) = timed(folder);
    let (other, empty) = open(place);
    load::through(&other, ROUND, REQUEST, 8).await;
    other.close().await;
    disk::forget(&empty.path().join("store"));
    let (other, without) = timed(empty.path());
    other.close().await;
    println!(
        "opened again over the backlog in {backlog} ms, over an empty queue after the same traffic in {without} ms"
    );
    queue
}

/// P5, and space: everything drained from a cold disk.
async fn drain(queue: &Queue, store: &Path, request: usize) {
    let plain = disk::plain_read(store, GIB);
    let books = queue.snapshot().signals[Signal::Logs.index()].books;
    let (count, bytes) = (books.queued_batches, books.queued_bytes);
    let (mut tenth, mut worst, mut at) = (1, 0.0_f64, 0);
    let before = Usage::now(store);
    let begun = Instant::now();
    load::consume(queue.clone(), Lane::Backlog, count, |taken| {
        if taken * 10 >= count * tenth {
            let allowed = (count - taken) as f64 * request as f64 * 1.3 + 256.0 * MIB as f64;
            let share = disk::taken(store) as f64 / allowed;
            if share > worst {
                (worst, at) = (share, tenth);
            }
            tenth += 1;
        }
    })
    .await;
    let used = Usage::now(store).since(&before);
    println!(
        "drained cold: {:.0} MB/s of stored bytes, plain reads {:.0} MB/s, {:.2} CPU s a GB, {:.2} device bytes a byte",
        bytes as f64 / 1e6 / begun.elapsed().as_secs_f64(),
        plain / 1e6,
        used.cpu / (bytes as f64 / 1e9),
        used.written / bytes as f64,
    );
    println!("  space at its worst, {at} tenths drained: {:.0} % of remaining payload × 1.3 + 256 MiB", worst * 100.0);
    let emptied = Instant::now();
    while disk::taken(store) > 256 * MIB && emptied.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!(
        "  {:.1} s after the last settle {} MiB are left",
        emptied.elapsed().as_secs_f64(),
        disk::taken(store) / MIB
    );
}

/// Figures as a line that a spreadsheet reads.
fn line(figures: &[u64]) -> String {
    figures.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}
