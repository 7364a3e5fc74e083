//! P5: a backlog on disk that is drained over the wire, beside the collector's persistent queue.

use std::fs::{self, File};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};
use spillway::batch::Signal;

use crate::contestant::{self, Contestant, Usage};
use crate::{IN_FLIGHT, load, payload, sink};

/// Longer than the collector needs for a GiB.
const PATIENCE: Duration = Duration::from_secs(300);

struct Drained {
    /// From the start of the process until everything arrived.
    seconds: f64,
    /// What it had on disk.
    stored: u64,
    usage: Usage,
}

/// Drains so many requests of logs out of each contestant; a collector that is not there is said.
pub(crate) async fn run(requests: usize) -> ExitCode {
    let items = (requests as u64 * payload::ITEMS) as f64;
    println!(
        "{requests} requests of logs taken while the sink was away, then drained from a cold disk, with the start"
    );
    let mut rates = Vec::new();
    for name in ["spillway", "collector, persistent"] {
        match drain(name, requests).await {
            Ok(Drained { seconds, stored, usage }) => {
                println!(
                    "  {name:<22} {seconds:>6.1} s {:>9.0} items/s {:>6.1} MB/s off {:>5.0} MB on disk, {:.2} CPU s a million, {:.0} MiB",
                    items / seconds,
                    stored as f64 / 1e6 / seconds,
                    stored as f64 / 1e6,
                    usage.cpu_seconds / (items / 1e6),
                    usage.peak_resident as f64 / f64::from(1 << 20),
                );
                rates.push(items / seconds);
            }
            Err(error) => println!("DID NOT RUN: {name}: {error}"),
        }
    }
    let [ours, theirs] = rates[..] else { return ExitCode::FAILURE };
    println!("  spillway drains {:.1} times as fast", ours / theirs);
    ExitCode::SUCCESS
}

async fn drain(name: &str, requests: usize) -> Result<Drained, String> {
    let body = payload::gzip_request(Signal::Logs);
    let away = contestant::free_port();
    let mut contestant = Contestant::start(name, away)?;
    let client = load::Client::connect(contestant.door()).await?;
    client.send(Signal::Logs, &body, requests, IN_FLIGHT).await?;
    contestant.stop()?;
    let stored = forget(contestant.folder());
    let sink = sink::Sink::start(body, away).await.map_err(|error| error.to_string())?;
    let begun = Instant::now();
    contestant.start_again()?;
    sink.until(requests as u64 * payload::ITEMS, PATIENCE).await?;
    Ok(Drained { seconds: begun.elapsed().as_secs_f64(), stored, usage: contestant.usage()? })
}

/// Takes the files of a folder, and of those in it, out of the page cache; the bytes in them. In the ballast there are none.
fn forget(folder: &Path) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            bytes += forget(&entry.path());
        } else if let (false, Ok(file)) = (entry.file_name() == "ballast", File::open(entry.path())) {
            bytes += file.metadata().map_or(0, |metadata| metadata.len());
            let _ = file.sync_all();
            let _ = fadvise(&file, 0, None, Advice::DontNeed);
        }
    }
    bytes
}
