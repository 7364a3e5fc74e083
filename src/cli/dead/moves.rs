//! `spillway dead replay`, `export` and `purge`: what is done with dead letters.

use std::path::Path;

use clap::Args;

use super::select::{DeadFilter, Found, Select};
use crate::cli::exit::Code;
use crate::cli::out;
use crate::cli::tools::confirm::confirm;
use crate::cli::tools::failure::Failure;
use crate::cli::tools::human;
use crate::cli::tools::lines::{Lines, Output};
use crate::cli::tools::place::Id;
use crate::cli::tools::progress::{Progress, Unit};
use crate::cli::tools::way::Way;
use crate::observe::commands::wire::{DeadLetter, Letters, Place, Stats};
use crate::queue::tools::Moved;

/// Dead letters of one request.
const GROUP: usize = 1000;

/// Send dead letters again
///
/// They go back into the queue as new batches, under new IDs, received when they were. What is refused once more becomes a dead letter
/// once more. One without readable bytes stays where it is, and so do the rest when the queue is full: exit code 1.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spillway dead replay logs/17 logs/18
  spillway dead replay --reason too_large            once the target's limit was raised
  spillway dead replay --all")]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    select: Select,
}

/// Copy dead letters into a file of OTLP JSON lines
///
/// One export request a line, without its story, which `dead ls --json` tells. The dead letters stay; `spillway queue replay` brings
/// such a file back.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spillway dead export dead.jsonl
  spillway dead export --target hub --older-than 1d old.jsonl && spillway dead purge --target hub --older-than 1d")]
pub(super) struct ExportArgs {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    filter: DeadFilter,
}

/// Remove dead letters for good
///
/// The books keep counting them as dead. Export them first: what is purged is gone.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spillway dead purge logs/17
  spillway dead purge --older-than 7d
  spillway dead purge --all --yes                    without a question, for scripts")]
pub(super) struct PurgeArgs {
    #[command(flatten)]
    select: Select,
    /// Removes without asking.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn replay(args: &ReplayArgs, json: bool, way: &Way) -> Result<Code, Failure> {
    let places = find(&args.select, way).await?.0;
    let moved = deal(way, "replay", &places).await?;
    Ok(said(&moved, "queued again", json))
}

pub(super) async fn purge(args: &PurgeArgs, json: bool, way: &Way) -> Result<Code, Failure> {
    let (places, sum) = find(&args.select, way).await?;
    if !places.is_empty() {
        confirm(&format!("This removes {} for good.", amount(&sum)), args.yes)?;
    }
    let moved = deal(way, "purge", &places).await?;
    Ok(said(&moved, "removed", json))
}

pub(super) async fn export(args: &ExportArgs, json: bool, way: &Way) -> Result<Code, Failure> {
    copied(&args.output, &args.filter, way).await?.finish(json)
}

/// Copies all dead letters into a new file, synced.
pub(in crate::cli) async fn keep(file: &Path, way: &Way) -> Result<(), Failure> {
    let output = Output { file: Some(file.to_owned()), force: false };
    let mut lines = copied(&output, &DeadFilter::default(), way).await?;
    lines.save()?;
    match lines.written.damaged.len() as u64 {
        0 => Ok(()),
        damaged => {
            let sentence = format!("{} cannot be read and are not in {}", human::batches(damaged), file.display());
            Err(Failure::new(Code::No, sentence))
        }
    }
}

/// Lines of the dead letters that fit.
async fn copied(output: &Output, filter: &DeadFilter, way: &Way) -> Result<Lines, Failure> {
    let mut lines = Lines::to(output)?;
    let stats: Stats = way.get("/queue/stats").await?;
    let progress = Progress::new("export", Unit::Count, stats.dead_letters);
    let (mut found, mut passed) = (Found::by(filter, true), 0);
    while let Some(page) = found.next(way).await? {
        for letter in page {
            lines.put(Id::of(letter.signal, letter.key), letter.content.as_ref(), letter.damage.as_deref())?;
            passed += 1;
        }
        progress.at(passed);
    }
    Ok(lines)
}

/// Where they are, and what they amount to.
async fn find(select: &Select, way: &Way) -> Result<(Vec<Place>, Moved), Failure> {
    select.check()?;
    let (mut places, mut sum) = (Vec::new(), Moved::default());
    let take = |letter: DeadLetter| {
        let DeadLetter { signal, key, items, bytes, .. } = letter;
        places.push(Place { signal, key });
        (sum.batches, sum.items, sum.bytes) = (sum.batches + 1, sum.items + items, sum.bytes + bytes);
        Ok(())
    };
    select.each(way, take).await?;
    Ok((places, sum))
}

async fn deal(way: &Way, what: &'static str, places: &[Place]) -> Result<Moved, Failure> {
    let progress = Progress::new(what, Unit::Count, places.len() as u64);
    let mut sum = Moved::default();
    for group in places.chunks(GROUP) {
        let letters = Letters { letters: group.to_vec() };
        let moved: Moved = way.post(&format!("/commands/dead/{what}"), &letters).await?;
        sum.batches += moved.batches;
        sum.items += moved.items;
        sum.bytes += moved.bytes;
        sum.left.extend(moved.left);
        progress.at(sum.batches + sum.left.len() as u64);
    }
    Ok(sum)
}

fn said(moved: &Moved, done: &str, json: bool) -> Code {
    if json {
        out::json(moved);
    } else {
        out::lines([format!("{} {done}", amount(moved))]);
        moved.left.iter().for_each(|left| out::warn(&format!("{} left: {}", Id::of(left.signal, left.key), left.why)));
    }
    if moved.left.is_empty() { Code::Fine } else { Code::No }
}

fn amount(moved: &Moved) -> String {
    let letters = if moved.batches == 1 { "dead letter" } else { "dead letters" };
    let (items, bytes) = (human::items(moved.items), human::bytes(moved.bytes));
    format!("{} {letters} ({items}, {bytes})", human::count(moved.batches))
}
