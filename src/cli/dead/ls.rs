//! `spillway dead ls`: dead letters and why they lie there.

use clap::Args;

use super::select::{DeadFilter, Found};
use crate::cli::exit::Code;
use crate::cli::out;
use crate::cli::tools::failure::Failure;
use crate::cli::tools::human;
use crate::cli::tools::place::Id;
use crate::cli::tools::way::Way;
use crate::observe::commands::wire::DeadLetter;

/// Longest message of a table, in characters; `dead show` has all of it.
const MESSAGE: usize = 60;

/// List dead letters, oldest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spillway dead ls
  spillway dead ls --reason too_large --target hub
  spillway dead ls --json | jq -r '.message' | sort | uniq -c       what the targets say, and how often")]
pub(super) struct LsArgs {
    #[command(flatten)]
    filter: DeadFilter,
    /// Most dead letters to list; 0 for all.
    #[arg(long, default_value_t = 100)]
    limit: u64,
}

pub(super) async fn ls(args: &LsArgs, json: bool, way: &Way) -> Result<Code, Failure> {
    let limit = if args.limit == 0 { u64::MAX } else { args.limit };
    let mut found = Found::by(&args.filter, false);
    let mut listed = 0;
    while let Some(page) = found.next(way).await? {
        for letter in &page {
            if listed == limit {
                out::note(&format!("… and more: these are the first {limit}; --limit 0 lists all"));
                return Ok(Code::Fine);
            }
            if listed == 0 && !json {
                let head = ["ID", "ITEMS", "SIZE", "AGE", "REASON", "TARGET", "ANSWER"];
                out::lines([row(head.map(str::to_owned))]);
            }
            listed += 1;
            if json { out::json(letter) } else { out::lines([line(letter)]) }
        }
    }
    if listed == 0 && !json {
        out::note("there are no dead letters of that kind");
    }
    Ok(Code::Fine)
}

fn line(letter: &DeadLetter) -> String {
    let DeadLetter { signal, key, items, bytes, verdict, damage, .. } = letter;
    let words = [verdict.status.as_str(), &verdict.message, damage.as_deref().unwrap_or_default()];
    let mut answer =
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(": ").replace('\n', " ");
    if let Some((end, _)) = answer.char_indices().nth(MESSAGE) {
        answer.truncate(end);
        answer.push('…');
    }
    let target = if verdict.target.is_empty() { "-" } else { &verdict.target };
    row([
        Id::of(*signal, *key).to_string(),
        items.to_string(),
        human::bytes(*bytes),
        human::age(verdict.last_ms),
        verdict.reason.as_str().to_owned(),
        target.to_owned(),
        answer,
    ])
}

fn row([id, items, size, age, reason, target, answer]: [String; 7]) -> String {
    format!("{id:<16} {items:>9} {size:>11} {age:>8}  {reason:<14} {target:<12} {answer}")
}
