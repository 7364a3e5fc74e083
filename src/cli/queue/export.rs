//! `spillway queue export`: copies out of the queue, which keeps its own.

use clap::Args;

use crate::cli::exit::Code;
use crate::cli::tools::failure::Failure;
use crate::cli::tools::filter::{BatchFilter, signals};
use crate::cli::tools::lines::{Lines, Output};
use crate::cli::tools::pages::Pages;
use crate::cli::tools::place::Id;
use crate::cli::tools::progress::{Progress, Unit};
use crate::cli::tools::way::Way;
use crate::observe::commands::wire::{Record, Stats};

/// Copy batches into a file of OTLP JSON lines
///
/// One export request a line, as a collector's file exporter writes it: its otlpjsonfile receiver reads it, and so does
/// `spillway queue replay`. The queue keeps what it has; delivery goes on beside it. Client headers that were kept with a batch
/// (`forward_headers`) and fields that OTLP/JSON does not know are not in the file.
///
/// Exit code 1 when something could not be read; all else is in the file then.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spillway queue export backlog.jsonl
  spillway queue export --signal logs --older-than 6h old-logs.jsonl
  spillway queue export --limit 1 | jq .                            the oldest batch, to look at
  spillway queue export --state parked suspects.jsonl")]
pub(super) struct ExportArgs {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    filter: BatchFilter,
    /// Most batches to copy.
    #[arg(long, value_name = "BATCHES", default_value_t = u64::MAX, hide_default_value = true)]
    limit: u64,
}

pub(super) async fn export(args: &ExportArgs, json: bool, way: &Way) -> Result<Code, Failure> {
    let mut lines = Lines::to(&args.output)?;
    let stats: Stats = way.get("/queue/stats").await?;
    let queued = signals(&args.filter.filter.signal).filter_map(|signal| stats.signals.get(&signal));
    let total: u64 = queued.map(|signal| signal.batches).sum();
    let progress = Progress::new("export", Unit::Count, total.min(args.limit));
    let mut pages = Pages::<Record>::of(args.filter.questions("/queue/records"));
    let mut passed = 0;
    'pages: while let Some(page) = pages.next(way).await? {
        for record in page.iter().filter(|record| args.filter.takes(record.state)) {
            if passed == args.limit {
                break 'pages;
            }
            lines.put(Id::of(record.signal, record.key), record.content.as_ref(), record.damage.as_deref())?;
            passed += 1;
        }
        progress.at(passed);
    }
    drop(progress);
    lines.finish(json)
}
