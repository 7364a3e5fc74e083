//! `spillway queue ls`: what is queued, batch by batch, without their contents.

use clap::Args;

use crate::cli::exit::Code;
use crate::cli::out;
use crate::cli::tools::failure::Failure;
use crate::cli::tools::filter::BatchFilter;
use crate::cli::tools::human;
use crate::cli::tools::pages::Pages;
use crate::cli::tools::place::Id;
use crate::cli::tools::way::Way;
use crate::queue::tools::Entry;

/// List what is queued, oldest first
///
/// Suspects, which are parked, come behind those in line. Beside a running gateway the list is of no single instant: what is
/// delivered meanwhile is not in it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spillway queue ls
  spillway queue ls --signal logs --older-than 1h
  spillway queue ls --state parked --json | jq -r .key
  spillway queue ls --limit 0 | wc -l")]
pub(super) struct LsArgs {
    #[command(flatten)]
    filter: BatchFilter,
    /// Most batches to list; 0 for all.
    #[arg(long, default_value_t = 100)]
    limit: u64,
}

pub(super) async fn ls(args: &LsArgs, json: bool, way: &Way) -> Result<Code, Failure> {
    let limit = if args.limit == 0 { u64::MAX } else { args.limit };
    let mut pages = Pages::<Entry>::of(args.filter.questions("/queue/batches"));
    let mut listed = 0;
    while let Some(page) = pages.next(way).await? {
        for entry in page.iter().filter(|entry| args.filter.takes(entry.state)) {
            if listed == limit {
                out::note(&format!("… and more: these are the first {limit}; --limit 0 lists all"));
                return Ok(Code::Fine);
            }
            if listed == 0 && !json {
                out::lines([format!("{:<16} {:>9} {:>11} {:>8}  STATE", "ID", "ITEMS", "SIZE", "AGE")]);
            }
            listed += 1;
            if json { out::json(entry) } else { out::lines([line(entry)]) }
        }
    }
    if listed == 0 && !json {
        out::note("nothing of that kind is queued");
    }
    Ok(Code::Fine)
}

fn line(entry: &Entry) -> String {
    let Entry { signal, key, items, bytes, received_at_ms, state } = entry;
    let (id, size, age) = (Id::of(*signal, *key), human::bytes(*bytes), human::age(*received_at_ms));
    format!("{id:<16} {items:>9} {size:>11} {age:>8}  {}", state.as_str())
}
