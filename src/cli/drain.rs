//! `spillway drain`: closes the intake of a running gateway and waits until everything is delivered.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::time::{Instant, interval};

use super::dead;
use super::exit::Code;
use super::out;
use super::tools::failure::Failure;
use super::tools::filter::age;
use super::tools::human;
use super::tools::progress::{Progress, Unit};
use super::tools::way::{Way, Where};
use crate::observe::commands::wire::{Intake, Stats};

/// The intake is closed for so long at a time, so that it opens by itself should this tool die.
const CLOSED: Duration = Duration::from_secs(30);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Deliver all that is queued and take nothing new, before a gateway goes away for good
///
/// Closes the intake: new requests are refused with a delay, and /readyz answers 503, so that senders go elsewhere. Then it waits
/// until nothing is queued, owed or parked, and all of that is synced. Delivery goes on as ever: what no target takes stays.
///
/// Afterwards the intake stays closed until the gateway ends, unless --reopen is given. Should this be interrupted, it opens by itself.
/// Dead letters are not delivered by waiting: as long as there are some the answer is no (exit code 1), unless --leave-dead is given.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 empty, 1 empty but for dead letters, 69 no gateway runs, 75 the time ran out

Examples:
  spillway drain --timeout 10m && kubectl scale statefulset spillway --replicas 0
  spillway drain --leave-dead=dead.jsonl             takes them out, too
  spillway drain --reopen                            to have delivered everything once, and go on
  spillway drain --cancel                            opens the intake again")]
pub(super) struct DrainArgs {
    #[command(flatten)]
    place: Where,
    /// How long to wait, such as 90s or 10m. For as long as it takes, without.
    #[arg(long, value_name = "TIME", value_parser = age)]
    timeout: Option<Duration>,
    /// Opens the intake at the end, whatever came of it.
    #[arg(long)]
    reopen: bool,
    /// Takes no offence at dead letters. With a file they are copied there first, as OTLP JSON lines: `--leave-dead=FILE`.
    #[arg(long, value_name = "FILE", require_equals = true)]
    leave_dead: Option<Option<PathBuf>>,
    /// Opens the intake that a drain has closed, and waits for nothing.
    #[arg(long, conflicts_with_all = ["timeout", "reopen", "leave_dead"])]
    cancel: bool,
    /// Prints what came of it as one JSON object.
    #[arg(long)]
    json: bool,
}

/// What is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct Left {
    batches: u64,
    items: u64,
    /// Items of those that a fallback has and the primary has not.
    owed: u64,
    bytes: u64,
    dead_letters: u64,
    /// Whether the doors take nothing.
    intake_closed: bool,
}

/// Carries it out.
pub(super) async fn drain(args: &DrainArgs) -> Code {
    let command = async |way: &Way| match way.is_offline() {
        true => offline(args, left(way).await?, way).await,
        false => beside(args, way).await,
    };
    args.place.work(command).await
}

async fn offline(args: &DrainArgs, left: Left, way: &Way) -> Result<Code, Failure> {
    match left.batches {
        0 => keep_dead(args, &left, way).await.map(|()| empty(args, &left)),
        batches => {
            let batches = human::batches(batches);
            let sentence =
                format!("{batches} queued, and no gateway runs that would deliver them: start one, then drain it");
            Err(Failure::new(Code::InUse, sentence))
        }
    }
}

async fn beside(args: &DrainArgs, way: &Way) -> Result<Code, Failure> {
    if args.cancel {
        intake(way, Intake::Open).await?;
        out::note("the intake is open");
        return Ok(Code::Fine);
    }
    let drained = tokio::select! {
        drained = deliver_all(args, way) => drained,
        _ = tokio::signal::ctrl_c() => Err(Failure::new(Code::No, "interrupted")),
    };
    match drained {
        Ok(left) => {
            intake(way, if args.reopen { Intake::Open } else { Intake::Closed { seconds: None } }).await?;
            Ok(empty(args, &Left { intake_closed: !args.reopen, ..left }))
        }
        Err(failure) => {
            let open = intake(way, Intake::Open).await;
            let then =
                if open.is_ok() { "the intake is open again" } else { "if it lives, its intake opens by itself" };
            Err(Failure { sentence: format!("{}; {then}", failure.sentence), ..failure })
        }
    }
}

/// Until all is delivered, and the dead letters are copied if that is wanted.
async fn deliver_all(args: &DrainArgs, way: &Way) -> Result<Left, Failure> {
    let left = until_empty(args.timeout, way).await?;
    let mut keeping = std::pin::pin!(keep_dead(args, &left, way));
    let mut looks = interval(LOOK);
    loop {
        tokio::select! {
            kept = &mut keeping => return kept.map(|()| left),
            _ = looks.tick() => drop(intake(way, Intake::Closed { seconds: Some(CLOSED.as_secs()) }).await?),
        }
    }
}

/// Copies the dead letters into the file that was named, if there are any.
async fn keep_dead(args: &DrainArgs, left: &Left, way: &Way) -> Result<(), Failure> {
    match &args.leave_dead {
        Some(Some(file)) if left.dead_letters > 0 => dead::keep(file, way).await,
        _ => Ok(()),
    }
}

/// Keeps the intake closed until nothing but dead letters is left, and all of that is synced.
async fn until_empty(timeout: Option<Duration>, way: &Way) -> Result<Left, Failure> {
    let until = timeout.map(|timeout| Instant::now() + timeout);
    let mut looks = interval(LOOK);
    let mut progress = None;
    loop {
        looks.tick().await;
        intake(way, Intake::Closed { seconds: Some(CLOSED.as_secs()) }).await?;
        let left = left(way).await?;
        if left.batches == 0 {
            way.post::<()>("/commands/queue/sync", &()).await?;
            return Ok(left);
        }
        if until.is_some_and(|until| until <= Instant::now()) {
            let Left { batches, items, owed, .. } = left;
            let amount =
                format!("{} ({}, {} of them owed)", human::batches(batches), human::items(items), human::count(owed));
            return Err(Failure::new(Code::Timeout, format!("the time ran out with {amount} still queued")));
        }
        let (most, progress) =
            progress.get_or_insert_with(|| (left.batches, Progress::new("drain", Unit::Count, left.batches)));
        progress.at(most.saturating_sub(left.batches));
        progress.say(format!("batches delivered, {} left", human::bytes(left.bytes)));
    }
}

async fn left(way: &Way) -> Result<Left, Failure> {
    let stats: Stats = way.get("/queue/stats").await?;
    let mut left = Left { dead_letters: stats.dead_letters, ..Left::default() };
    for signal in stats.signals.values() {
        left.batches += signal.batches;
        left.items += signal.books.queued;
        left.owed += signal.books.owed;
        left.bytes += signal.bytes;
    }
    Ok(left)
}

async fn intake(way: &Way, intake: Intake) -> Result<Intake, Failure> {
    way.post("/commands/intake", &intake).await
}

fn empty(args: &DrainArgs, left: &Left) -> Code {
    if args.json {
        out::json(left);
    } else {
        let intake = if left.intake_closed { ", and the intake stays closed" } else { "" };
        out::lines([format!("everything is delivered{intake}")]);
    }
    match left.dead_letters {
        0 => Code::Fine,
        _ if args.leave_dead.is_some() => Code::Fine,
        letters => {
            let letters = human::count(letters);
            let sentence = format!(
                "dead letters are left ({letters}): `spillway dead replay` or `dead export` and `dead purge`, or --leave-dead"
            );
            out::fail(&sentence, Code::No)
        }
    }
}
