//! What a million items cost: CPU seconds of spillway, durable, beside an OpenTelemetry Collector and rotel.
//!
//! The same requests over gRPC into each contestant and out of it into the same sink. The contestant runs alone on the first core;
//! generator and sink share the second, and it is said when they were the limit. What arrives is counted.
//!
//! ```text
//! cargo bench --bench wire -- [--requests 4000] [--runs 3] [--signal logs] [--only "collector, persistent"]
//! cargo bench --bench wire -- --backlog 3500
//! cargo bench --bench wire -- --small 50000
//! cargo bench --bench wire -- --crowd
//! cargo bench --bench wire -- --skim 2000
//! cargo bench --bench wire -- --pack 2000
//! ```
//!
//! The second one lets a backlog of so many requests build up in each contestant's queue on disk, and drains it cold. The third does
//! that with small requests, merged and one by one, into a sink beside it and one that is far away. The fourth tells what memory
//! spillway holds under load, under overload, and beside thousands of connections. The fifth walks over so many requests in memory, for the walk alone: under `valgrind --tool=callgrind` its figure is exact.

#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

mod contestant;
mod crowd;
mod drain;
mod load;
mod payload;
mod sink;
#[path = "../volume.rs"]
mod volume;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use spillway::batch::{Encoding, Signal};
use spillway::otlp::inflate::Deflater;
use spillway::otlp::skim::skim;

use contestant::{Contestant, Usage};
use payload::Payload;

/// Requests sent before measuring, so that connections stand and buffers are warm.
const WARM_UP: usize = 100;
/// In gzip but where the name says otherwise; "tagging" adds to each resource.
const CONTESTANTS: [&str; 7] = [
    "spillway",
    "spillway, tagging",
    "spillway, zstd",
    "collector",
    "collector, zstd",
    "collector, persistent",
    "rotel",
];
/// Requests in flight.
const IN_FLIGHT: usize = 16;

#[derive(Parser)]
struct Args {
    /// Requests of 1000 items each.
    #[arg(long, default_value_t = 4000)]
    requests: usize,
    /// Runs of each contestant, in turn; the table has the one whose CPU time is the median.
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// traces, metrics or logs; all by turns when absent.
    #[arg(long)]
    signal: Option<String>,
    /// Measure one contestant alone.
    #[arg(long)]
    only: Option<String>,
    /// Drain a backlog of so many requests instead.
    #[arg(long)]
    backlog: Option<usize>,
    /// Drain a backlog of so many small requests instead, merged and one by one.
    #[arg(long)]
    small: Option<usize>,
    /// Tell what memory the doors take.
    #[arg(long)]
    crowd: bool,
    /// Only walk over so many requests of each signal.
    #[arg(long)]
    skim: Option<usize>,
    /// Only compress so many requests of each signal.
    #[arg(long)]
    pack: Option<usize>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One line of the table.
struct Row {
    contestant: &'static str,
    signal: Signal,
    items: u64,
    seconds: f64,
    usage: Usage,
    /// Resident before the first request, in bytes.
    idle: u64,
    busy_load_core: f64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    contestant::pin_to(1);
    if let Some(requests) = args.skim {
        return walk(args.signal.as_deref(), requests);
    }
    if let Some(requests) = args.pack {
        return pack(args.signal.as_deref(), requests);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    if let Some(requests) = args.backlog {
        return runtime.block_on(drain::run(requests));
    }
    if let Some(requests) = args.small {
        return runtime.block_on(drain::small(requests));
    }
    if args.crowd {
        return runtime.block_on(crowd::run());
    }
    let signals =
        Signal::ALL.into_iter().filter(|signal| args.signal.as_ref().is_none_or(|name| name == signal.as_str()));
    let mut rows = Vec::new();
    let mut missing = false;
    for signal in signals {
        let names = CONTESTANTS.into_iter().filter(|name| args.only.as_ref().is_none_or(|only| only == name));
        let mut runs: Vec<(&str, Vec<Row>)> = names.map(|name| (name, Vec::new())).collect();
        for _ in 0..args.runs {
            for (name, runs) in &mut runs {
                match runtime.block_on(measure(name, signal, args.requests)) {
                    Ok(row) => runs.push(row),
                    Err(error) => {
                        println!("DID NOT RUN: {name}, {signal}: {error}");
                        missing = true;
                    }
                }
            }
        }
        rows.extend(runs.into_iter().filter_map(|(_, runs)| median(runs)));
    }
    print_table(&rows);
    if missing { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn median(mut runs: Vec<Row>) -> Option<Row> {
    runs.sort_by(|one, other| one.usage.cpu_seconds.total_cmp(&other.usage.cpu_seconds));
    let middle = runs.len() / 2;
    runs.into_iter().nth(middle)
}

fn walk(signal: Option<&str>, requests: usize) -> ExitCode {
    for signal in Signal::ALL.into_iter().filter(|known| signal.is_none_or(|name| name == known.as_str())) {
        let request = payload::request(signal, payload::ITEMS);
        let began = std::time::Instant::now();
        let items: u64 =
            (0..requests).map(|_| skim(signal, black_box(&request)).map_or(0, |found| found.items.into())).sum();
        let seconds = began.elapsed().as_secs_f64();
        let bytes = (request.len() * requests) as f64;
        println!("{signal}: {:.1} ns an item, {:.2} GB/s", seconds * 1e9 / items as f64, bytes / seconds / 1e9);
    }
    ExitCode::SUCCESS
}

fn pack(signal: Option<&str>, requests: usize) -> ExitCode {
    let mut deflater = Deflater::new();
    for signal in Signal::ALL.into_iter().filter(|known| signal.is_none_or(|name| name == known.as_str())) {
        let request = payload::request(signal, payload::ITEMS);
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let began = std::time::Instant::now();
            let packed: usize = (0..requests).map(|_| deflater.compress(encoding, black_box(&request)).len()).sum();
            let (seconds, bytes) = (began.elapsed().as_secs_f64(), (request.len() * requests) as f64);
            let (speed, left) = (bytes / seconds / 1e6, packed as f64 * 100.0 / bytes);
            println!("{signal}, {}: {speed:.0} MB/s, to {left:.1} %", encoding.as_str());
        }
    }
    ExitCode::SUCCESS
}

async fn measure(name: &'static str, signal: Signal, requests: usize) -> Result<Row, String> {
    let encoding = if name.ends_with("zstd") { Encoding::Zstd } else { Encoding::Gzip };
    let (payload, port) = (Payload::new(signal, payload::ITEMS, encoding), ([127, 0, 0, 1], 0).into());
    let sink = sink::Sink::start(payload.clone(), port, Duration::ZERO).await.map_err(|error| error.to_string())?;
    let mut contestant = Contestant::start(name, sink.address())?;
    let idle = contestant.usage()?.resident;
    let client = load::Client::connect(contestant.door()).await?;

    client.send(&payload, WARM_UP, IN_FLIGHT).await?;
    sink.until(WARM_UP as u64 * payload::ITEMS, Duration::from_secs(30)).await?;
    let before = contestant.usage()?;
    let load_before = contestant::own_cpu_seconds();
    let began = std::time::Instant::now();
    client.send(&payload, requests, IN_FLIGHT).await?;
    let acked = began.elapsed().as_secs_f64();
    let items = requests as u64 * payload::ITEMS;
    sink.until(WARM_UP as u64 * payload::ITEMS + items, Duration::from_secs(120)).await?;
    let usage = contestant.usage()?.since(&before);
    let busy_load_core = (contestant::own_cpu_seconds() - load_before) / began.elapsed().as_secs_f64();
    Ok(Row { contestant: name, signal, items, seconds: acked, usage, idle, busy_load_core })
}

fn print_table(rows: &[Row]) {
    println!(
        "{:<21} {:<8} {:>13} {:>10} {:>8} {:>8} {:>12} {:>10}",
        "", "signal", "CPU s/million", "acked/s", "idle MiB", "peak MiB", "disk B/item", "load core"
    );
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    for row in rows {
        println!(
            "{:<21} {:<8} {:>13.2} {:>10.0} {:>8.0} {:>8.0} {:>12.1} {:>9.0}%{}",
            row.contestant,
            row.signal.as_str(),
            row.usage.cpu_seconds / (row.items as f64 / 1e6),
            row.items as f64 / row.seconds,
            mib(row.idle),
            mib(row.usage.peak_resident),
            row.usage.written / row.items as f64,
            row.busy_load_core * 100.0,
            if row.busy_load_core > 0.95 { "  generator and sink were the limit of acked/s" } else { "" }
        );
    }
    for signal in Signal::ALL {
        let of = |name: &str| rows.iter().find(|row| row.contestant == name && row.signal == signal);
        let cost = |row: &Row| row.usage.cpu_seconds / row.items as f64;
        for (ours, theirs) in [
            ("spillway", "collector"),
            ("spillway", "rotel"),
            ("spillway, tagging", "collector"),
            ("spillway, zstd", "collector, zstd"),
        ] {
            if let (Some(mine), Some(others)) = (of(ours), of(theirs)) {
                println!("{signal}: {ours}, durable, costs 1/{:.1} of {theirs} in memory", cost(others) / cost(mine));
            }
        }
        if let (Some(mine), Some(others)) = (of("spillway"), of("collector, persistent")) {
            let times = (mine.items as f64 / mine.seconds) / (others.items as f64 / others.seconds);
            println!(
                "{signal}: spillway acknowledges {times:.1} times as many a second as the collector with its persistent queue"
            );
        }
    }
}
