//! What a million items cost: CPU seconds of spillway, durable, beside an OpenTelemetry Collector and rotel.
//!
//! The same requests over gRPC into each contestant and out of it into the same sink. The contestant runs alone on the first core;
//! generator and sink share the second, and it is said when they were the limit. What arrives is counted.
//!
//! ```text
//! cargo bench --bench wire -- [--requests 1000] [--signal logs] [--only "collector, persistent"]
//! cargo bench --bench wire -- --backlog 3500
//! cargo bench --bench wire -- --small 50000
//! cargo bench --bench wire -- --skim 2000
//! ```
//!
//! The second one lets a backlog of so many requests build up in each contestant's queue on disk, and drains it cold. The third does
//! that with small requests, merged and one by one, into a sink beside it and one that is far away. The
//! last one walks over so many requests in memory, for the walk alone: under `valgrind --tool=callgrind` its figure is exact.

#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

mod contestant;
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
    #[arg(long, default_value_t = 1000)]
    requests: usize,
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
    /// Only walk over so many requests of each signal.
    #[arg(long)]
    skim: Option<usize>,
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    if let Some(requests) = args.backlog {
        return runtime.block_on(drain::run(requests));
    }
    if let Some(requests) = args.small {
        return runtime.block_on(drain::small(requests));
    }
    let signals =
        Signal::ALL.into_iter().filter(|signal| args.signal.as_ref().is_none_or(|name| name == signal.as_str()));
    let mut rows = Vec::new();
    let mut missing = false;
    for signal in signals {
        for name in CONTESTANTS {
            if args.only.as_ref().is_some_and(|only| only != name) {
                continue;
            }
            match runtime.block_on(measure(name, signal, args.requests)) {
                Ok(row) => rows.push(row),
                Err(error) => {
                    println!("DID NOT RUN: {name}, {signal}: {error}");
                    missing = true;
                }
            }
        }
    }
    print_table(&rows);
    if missing { ExitCode::FAILURE } else { ExitCode::SUCCESS }
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
