//! `spillway queue purge`: removes batches undelivered, counted as dropped.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use clap::{ArgGroup, Args};
use serde::Serialize;
use tokio::time::interval;

use crate::batch::{Key, Signal};
use crate::cli::exit::Code;
use crate::cli::out;
use crate::cli::tools::confirm::confirm;
use crate::cli::tools::failure::Failure;
use crate::cli::tools::filter::{age, signals};
use crate::cli::tools::human;
use crate::cli::tools::pages::Pages;
use crate::cli::tools::place::Id;
use crate::cli::tools::progress::{Progress, Unit};
use crate::cli::tools::way::Way;
use crate::observe::commands::wire::{Purge, Stats};
use crate::queue::Removed;
use crate::queue::tools::Entry;

/// Remove batches for good, undelivered
///
/// The oldest first, up to an age or an ID, or all; leased and owed ones and suspects included. They are counted in the books as
/// dropped, with the reason `purged`, and raise the alert on data loss. Export them first: what is purged is gone.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spillway queue export --signal logs --older-than 12h old.jsonl && spillway queue purge --signal logs --older-than 12h
  spillway queue purge --below logs/1700             what stands in line before it, and is not it
  spillway queue purge --all --yes                   without a question, for scripts")]
#[command(group = ArgGroup::new("what").required(true))]
pub(super) struct PurgeArgs {
    /// Everything.
    #[arg(long, group = "what")]
    all: bool,
    /// What is older than `90s`, `2h`, `7d`, from the oldest on, up to the first that is younger.
    #[arg(long, value_name = "AGE", value_parser = age, group = "what")]
    older_than: Option<Duration>,
    /// What stands before this ID.
    #[arg(long, value_name = "ID", conflicts_with = "signal", group = "what")]
    below: Option<Id>,
    /// Only of these signals: traces, metrics, logs.
    #[arg(long, value_name = "SIGNAL", value_delimiter = ',')]
    signal: Vec<Signal>,
    /// Removes without asking.
    #[arg(long)]
    yes: bool,
    /// Says what would be removed, and removes nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What is or would be removed.
#[derive(Debug, Serialize)]
struct Report {
    dry_run: bool,
    signals: BTreeMap<Signal, Removed>,
}

/// Time between two looks at what is left.
const LOOK: Duration = Duration::from_millis(500);
const END: Key = Key { seq: u64::MAX, part: u16::MAX };

pub(super) async fn purge(args: &PurgeArgs, json: bool, way: &Way) -> Result<Code, Failure> {
    let mut bounds = BTreeMap::new();
    for signal in signals(&args.signal) {
        let below = match (&args.below, args.older_than) {
            (Some(Id(place)), _) if place.signal != signal => continue,
            (Some(Id(place)), _) => place.key,
            (None, Some(age)) => first_younger(way, signal, age).await?,
            (None, None) => END,
        };
        bounds.insert(signal, below);
    }
    let mut report = Report { dry_run: args.dry_run, signals: BTreeMap::new() };
    if args.dry_run || !args.yes {
        for (signal, below) in &bounds {
            report.signals.insert(*signal, count(way, *signal, *below).await?);
        }
        if !args.dry_run {
            let sum = sum(&report);
            if sum.batches == 0 {
                return Ok(said(&report, json));
            }
            let what = format!("This removes {} for good, undelivered.", amount(&sum));
            confirm(&what, args.yes)?;
        }
    }
    if !args.dry_run {
        for (signal, below) in bounds {
            report.signals.insert(signal, remove(way, Purge { signal, below }).await?);
        }
    }
    Ok(said(&report, json))
}

/// Removes, with a bar for what is gone so far.
async fn remove(way: &Way, purge: Purge) -> Result<Removed, Failure> {
    let left = async || -> Result<u64, Failure> {
        let stats: Stats = way.get("/queue/stats").await?;
        Ok(stats.signals.get(&purge.signal).map_or(0, |signal| signal.batches))
    };
    let before = left().await?;
    let progress = Progress::new("purge", Unit::Count, before);
    let mut removing = pin!(way.post("/commands/queue/purge", &purge));
    let mut looks = interval(LOOK);
    loop {
        tokio::select! {
            removed = &mut removing => return removed,
            _ = looks.tick() => if let Ok(left) = left().await {
                progress.at(before.saturating_sub(left));
            },
        }
    }
}

/// The key of the first batch that is younger than that.
async fn first_younger(way: &Way, signal: Signal, age: Duration) -> Result<Key, Failure> {
    let from_ms = human::now_ms().saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    let mut first = END;
    for parked in [false, true] {
        let question = format!("/queue/batches?signal={signal}&parked={parked}&received_from_ms={from_ms}&limit=1");
        let mut pages = Pages::<Entry>::of([question]);
        while let Some(page) = pages.next(way).await? {
            if let Some(entry) = page.first() {
                first = first.min(entry.key);
                break;
            }
        }
    }
    Ok(first)
}

/// What lies below a key.
async fn count(way: &Way, signal: Signal, below: Key) -> Result<Removed, Failure> {
    let mut removed = Removed::default();
    let question = |parked| format!("/queue/batches?signal={signal}&parked={parked}&to={below}");
    let mut pages = Pages::<Entry>::of([false, true].map(question));
    while let Some(page) = pages.next(way).await? {
        for entry in page.iter().filter(|entry| entry.key < below) {
            let items = u64::from(entry.items);
            removed += Removed { batches: 1, items, bytes: entry.bytes, ..Removed::default() };
        }
    }
    Ok(removed)
}

fn said(report: &Report, json: bool) -> Code {
    let would = if report.dry_run { "would be removed" } else { "removed" };
    if json {
        out::json(report);
    } else {
        let some = report.signals.iter().filter(|(_, removed)| removed.batches > 0);
        let lines: Vec<_> = some.map(|(signal, removed)| format!("{signal}: {} {would}", amount(removed))).collect();
        if lines.is_empty() { out::note("nothing of that kind is queued") } else { out::lines(lines) }
    }
    Code::Fine
}

fn sum(report: &Report) -> Removed {
    let mut sum = Removed::default();
    report.signals.values().for_each(|removed| sum += *removed);
    sum
}

fn amount(removed: &Removed) -> String {
    let Removed { batches, items, bytes, .. } = *removed;
    format!("{} ({}, {})", human::batches(batches), human::items(items), human::bytes(bytes))
}
