//! The conformance runner: each line of OTLP's requirements against an endpoint, over gRPC, HTTP/protobuf and HTTP/JSON, with each
//! compression.
//!
//! `cargo test --test conformance` starts doors of its own, looks into their queue too, and holds `docs/conformance.md` to what it
//! found; `UPDATE_DOCS=1` writes that page anew. `tests/conformance/run --grpc HOST:PORT --http HOST:PORT [--limit BYTES] [--patience SECONDS]`
//! asks any other server, judges it by its answers alone, and prints the table.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a check ends at the first surprise; the table is printed"
)]

mod answers;
mod json;
mod lines;
mod page;
mod payload;
mod peer;
mod refusals;
#[allow(dead_code, reason = "shared with the tests of the doors")]
#[path = "../doors/support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::time::timeout;

use self::lines::{Asked, LINES, Line};
use self::page::Outcome;
use self::peer::{Peer, Way};

/// What to ask. Anything else is for the test runner, and left to it.
#[derive(Debug, Parser)]
#[command(ignore_errors = true)]
struct Options {
    /// OTLP/gRPC of another server, HOST:PORT.
    #[arg(long)]
    grpc: Option<String>,
    /// OTLP/HTTP of another server, HOST:PORT.
    #[arg(long)]
    http: Option<String>,
    /// Largest request that it takes, in bytes.
    #[arg(long, default_value_t = 64 << 20)]
    limit: usize,
    /// Seconds that a check may take: some servers wait for ever.
    #[arg(long, default_value_t = 120)]
    patience: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let asked = Options::parse();
    let foreign = asked.grpc.is_some() || asked.http.is_some();
    let peer = match foreign {
        true => Peer::other(asked.grpc.as_deref(), asked.http.as_deref(), asked.limit).await,
        false => Peer::own().await,
    };
    std::panic::set_hook(Box::new(|_| {})); // what a check says is told in the table
    let mut outcomes = Vec::new();
    for line in LINES {
        outcomes.push(ask(&peer, line, Duration::from_secs(asked.patience)).await);
    }
    let (passed, failed) = page::count(&outcomes);
    for outcome in &outcomes {
        for (way, what) in outcome.failures() {
            println!("FAILED {} {way}: {what}", outcome.line.id);
        }
    }
    let stale = match foreign {
        true => {
            print!("{}", page::table(&outcomes));
            None
        }
        false => page::hold(&outcomes).err(),
    };
    if let Some(stale) = &stale {
        println!("FAILED {stale}");
    }
    let failed = failed + usize::from(stale.is_some());
    println!("conformance: {passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Asks for one line in each way that it concerns.
async fn ask(peer: &Peer, line: &'static Line, patience: Duration) -> Outcome {
    let mut results = Vec::new();
    if let Some(Asked { concerns, check }) = line.check {
        for way in Way::ALL.into_iter().filter(|way| concerns(*way) && peer.speaks(*way)) {
            // In a task of its own, so that a check may end by a panic.
            let checked = timeout(patience, tokio::spawn(check(peer.clone(), way))).await;
            let late = Err(format!("no answer within {patience:?}"));
            results.push((way, checked.map_or(late, |result| result.map_err(page::words))));
        }
    }
    Outcome { line, results }
}
