//! What a million items cost: CPU seconds of spillway, durable, beside an OpenTelemetry Collector with its memory queue.
//!
//! The same gzip requests over gRPC into each contestant and out of it into the same sink. The contestant runs alone on
//! the first core; generator and sink share the second, and it is said when they were the limit. What arrives is counted.
//!
//! ```text
//! cargo bench --bench wire -- [--requests 1000] [--signal logs] [--only spillway|collector]
//! cargo bench --bench wire -- --backlog 3500
//! cargo bench --bench wire -- --small 50000
//! ```
//!
//! The second one lets a backlog of so many requests build up in each contestant's queue on disk, and drains it cold. The third does
//! that with small requests, merged and one by one, into a sink beside it and one that is far away.

#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

mod contestant;
mod drain;
mod load;
mod payload;
mod sink;
#[path = "../volume.rs"]
mod volume;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use spillway::batch::Signal;

use contestant::{Contestant, Usage};

/// Requests sent before measuring, so that connections stand and buffers are warm.
const WARM_UP: usize = 100;
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
    busy_load_core: f64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    contestant::pin_to(1);
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
        for name in ["spillway", "collector"] {
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

async fn measure(name: &'static str, signal: Signal, requests: usize) -> Result<Row, String> {
    let body = payload::gzip_request(signal, payload::ITEMS);
    let (expected, port) = ((body.clone(), payload::ITEMS), ([127, 0, 0, 1], 0).into());
    let sink = sink::Sink::start(expected, port, Duration::ZERO).await.map_err(|error| error.to_string())?;
    let mut contestant = Contestant::start(name, sink.address())?;
    let client = load::Client::connect(contestant.door()).await?;

    client.send(signal, &body, WARM_UP, IN_FLIGHT).await?;
    sink.until(WARM_UP as u64 * payload::ITEMS, Duration::from_secs(30)).await?;
    let before = contestant.usage()?;
    let load_before = contestant::own_cpu_seconds();
    let began = std::time::Instant::now();
    client.send(signal, &body, requests, IN_FLIGHT).await?;
    let acked = began.elapsed().as_secs_f64();
    let items = requests as u64 * payload::ITEMS;
    sink.until(WARM_UP as u64 * payload::ITEMS + items, Duration::from_secs(120)).await?;
    let usage = contestant.usage()?.since(&before);
    let busy_load_core = (contestant::own_cpu_seconds() - load_before) / began.elapsed().as_secs_f64();
    Ok(Row { contestant: name, signal, items, seconds: acked, usage, busy_load_core })
}

fn print_table(rows: &[Row]) {
    println!(
        "{:<10} {:<8} {:>14} {:>12} {:>10} {:>14} {:>10}",
        "", "signal", "CPU s/million", "acked/s", "peak MiB", "disk B/item", "load core"
    );
    for row in rows {
        let millions = row.items as f64 / 1e6;
        println!(
            "{:<10} {:<8} {:>14.2} {:>12.0} {:>10.0} {:>14.1} {:>9.0}%{}",
            row.contestant,
            row.signal.as_str(),
            row.usage.cpu_seconds / millions,
            row.items as f64 / row.seconds,
            row.usage.peak_resident as f64 / f64::from(1 << 20),
            row.usage.written / row.items as f64,
            row.busy_load_core * 100.0,
            if row.busy_load_core > 0.95 { "  generator and sink were the limit of acked/s" } else { "" }
        );
    }
    for signal in Signal::ALL {
        let cost = |name| {
            let row = rows.iter().find(|row| row.contestant == name && row.signal == signal)?;
            Some(row.usage.cpu_seconds / row.items as f64)
        };
        if let (Some(ours), Some(theirs)) = (cost("spillway"), cost("collector")) {
            println!("{signal}: spillway, durable, costs 1/{:.1} of the collector in memory", theirs / ours);
        }
    }
}
