//! `spillway queue verify`: reads everything and says whether it is what was written.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use super::stats::imbalance;
use crate::batch::{Key, Signal};
use crate::cli::exit::Code;
use crate::cli::out;
use crate::cli::tools::failure::Failure;
use crate::cli::tools::filter::signals;
use crate::cli::tools::human;
use crate::cli::tools::pages::Pages;
use crate::cli::tools::place::Id;
use crate::cli::tools::progress::{Progress, Unit};
use crate::cli::tools::way::Way;
use crate::observe::commands::wire::{DeadLetter, Stats};
use crate::queue::tools::{Checked, Damage};

/// Read every record and check it
///
/// Each record is held against its checksum and the index, the index against the books, each dead letter against its checksum.
/// Nothing is changed: delivery moves a damaged batch to the dead letters when it comes by.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spillway queue verify                              exit code 1 when something is wrong
  spillway queue verify --signal logs --json | jq .damages")]
pub(super) struct VerifyArgs {
    /// Only these signals: traces, metrics, logs.
    #[arg(long, value_name = "SIGNAL", value_delimiter = ',')]
    signal: Vec<Signal>,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Report {
    ok: bool,
    signals: BTreeMap<Signal, Sound>,
    /// Sound dead letters.
    dead_letters: u64,
    /// What is wrong, in the queue and in the dead letters.
    damages: Vec<Damage>,
    /// Items by which books and index disagree.
    imbalance: u64,
}

/// What is as it was written.
#[derive(Debug, Default, Serialize)]
struct Sound {
    batches: u64,
    items: u64,
    bytes: u64,
}

pub(super) async fn verify(args: &VerifyArgs, json: bool, way: &Way) -> Result<Code, Failure> {
    let before: Stats = way.get("/queue/stats").await?;
    let total =
        signals(&args.signal).filter_map(|signal| before.signals.get(&signal)).map(|signal| signal.batches).sum();
    let progress = Progress::new("verify", Unit::Count, total);
    let (mut report, mut passed) = (Report::default(), 0);
    for signal in signals(&args.signal) {
        for parked in [false, true] {
            let mut from = Some(Key::new(0));
            while let Some(key) = from {
                let checked: Checked =
                    way.get(format_args!("/queue/verify?signal={signal}&parked={parked}&from={key}")).await?;
                let Checked { batches, items, bytes, damages, next } = checked;
                passed += batches + damages.len() as u64;
                progress.at(passed);
                let sound = report.signals.entry(signal).or_default();
                (sound.batches, sound.items, sound.bytes) =
                    (sound.batches + batches, sound.items + items, sound.bytes + bytes);
                report.damages.extend(damages);
                from = next;
            }
        }
        let mut letters = Pages::<DeadLetter>::of([format!("/queue/dead?signal={signal}")]);
        while let Some(page) = letters.next(way).await? {
            for DeadLetter { signal, key, damage, .. } in page {
                match damage {
                    Some(what) => report.damages.push(Damage { signal, key, what: format!("dead letter: {what}") }),
                    None => report.dead_letters += 1,
                }
            }
        }
    }
    let mut after: Stats = way.get("/queue/stats?recount=true").await?;
    after.signals.retain(|signal, _| report.signals.contains_key(signal));
    report.imbalance = imbalance(&after);
    report.ok = report.damages.is_empty() && report.imbalance == 0;
    drop(progress);
    if json {
        out::json(&report);
    } else {
        out::lines(lines(&report));
    }
    Ok(if report.ok { Code::Fine } else { Code::No })
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines: Vec<String> = report
        .damages
        .iter()
        .map(|Damage { signal, key, what }| format!("{}: {what}", Id::of(*signal, *key)))
        .collect();
    for (signal, Sound { batches, items, bytes }) in &report.signals {
        let (batches, items, bytes) = (human::batches(*batches), human::items(*items), human::bytes(*bytes));
        lines.push(format!("{signal}: {batches} sound, {items}, {bytes}"));
    }
    lines.push(format!("dead letters: {} sound", human::count(report.dead_letters)));
    lines.push(match report.imbalance {
        0 => "books: they agree with the index".to_owned(),
        apart => format!("books: {} apart from the index", human::items(apart)),
    });
    if !report.damages.is_empty() {
        let damaged = human::count(report.damages.len() as u64);
        lines.push(format!(
            "{damaged} damaged: delivery moves those that are queued to the dead letters; check disk and file system"
        ));
    }
    lines
}
