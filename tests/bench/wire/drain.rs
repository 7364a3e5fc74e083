//! P5: a backlog on disk that is drained over the wire, beside the collector's persistent queue.

use std::fs::{self, File};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};
use spillway::batch::{Encoding, Signal};

use crate::contestant::{self, Contestant, Usage};
use crate::payload::{self, Payload};
use crate::{IN_FLIGHT, load, sink};

/// Longer than the collector needs for a GiB.
const PATIENCE: Duration = Duration::from_secs(300);

struct Drained {
    /// From the start of the process until everything arrived.
    seconds: f64,
    /// What it had on disk.
    stored: u64,
    usage: Usage,
}

/// A sink so far away: another region.
const FAR: Duration = Duration::from_millis(30);

/// Drains so many small requests, of logs and of metrics (which go one at a time), merged and one by one.
pub(crate) async fn small(requests: usize) -> ExitCode {
    let mut missing = false;
    for (signal, requests, latency) in [
        (Signal::Logs, requests, Duration::ZERO),
        (Signal::Logs, requests, FAR),
        (Signal::Metrics, requests, Duration::ZERO),
        (Signal::Metrics, requests / 20, FAR),
    ] {
        let payload = Payload::new(signal, payload::FEW, Encoding::Gzip);
        let bytes = payload.body.len();
        println!("{requests} requests of {signal}, {bytes} bytes each, each answered after {latency:?}");
        for name in ["spillway", "one by one"] {
            match drain(name, &payload, requests, latency).await {
                Ok(drained) => _ = drained.told(name, requests as u64 * payload::FEW),
                Err(error) => {
                    println!("DID NOT RUN: {name}: {error}");
                    missing = true;
                }
            }
        }
    }
    if missing { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Drains so many requests of logs out of each contestant; a collector that is not there is said.
pub(crate) async fn run(requests: usize) -> ExitCode {
    println!(
        "{requests} requests of logs taken while the sink was away, then drained from a cold disk, with the start"
    );
    let payload = Payload::new(Signal::Logs, payload::ITEMS, Encoding::Gzip);
    let mut rates = Vec::new();
    for name in ["spillway", "collector, persistent"] {
        match drain(name, &payload, requests, Duration::ZERO).await {
            Ok(drained) => rates.push(drained.told(name, requests as u64 * payload::ITEMS)),
            Err(error) => println!("DID NOT RUN: {name}: {error}"),
        }
    }
    let [ours, theirs] = rates[..] else { return ExitCode::FAILURE };
    println!("  spillway drains {:.1} times as fast", ours / theirs);
    ExitCode::SUCCESS
}

impl Drained {
    /// Prints it; the items a second.
    fn told(&self, name: &str, items: u64) -> f64 {
        let Drained { seconds, stored, usage } = self;
        let (items, stored) = (items as f64, *stored as f64);
        println!(
            "  {name:<22} {seconds:>6.1} s {:>9.0} items/s {:>6.1} MB/s off {:>5.0} MB on disk, {:.2} CPU s a million, {:.0} MiB",
            items / seconds,
            stored / 1e6 / seconds,
            stored / 1e6,
            usage.cpu_seconds / (items / 1e6),
            usage.peak_resident as f64 / f64::from(1 << 20),
        );
        items / seconds
    }
}

async fn drain(name: &str, payload: &Payload, requests: usize, latency: Duration) -> Result<Drained, String> {
    let away = contestant::free_port();
    let mut contestant = Contestant::start(name, away)?;
    let client = load::Client::connect(contestant.door()).await?;
    client.send(payload, requests, IN_FLIGHT).await?;
    contestant.stop()?;
    let stored = forget(contestant.folder());
    let sink = sink::Sink::start(payload.clone(), away, latency).await.map_err(|error| error.to_string())?;
    let begun = Instant::now();
    contestant.start_again()?;
    sink.until(requests as u64 * payload.items, PATIENCE).await?;
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
