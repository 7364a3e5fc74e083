//! `spillway queue stats`: the queue in figures, and the books.

use clap::Args;

use crate::batch::Signal;
use crate::cli::exit::Code;
use crate::cli::out;
use crate::cli::tools::failure::Failure;
use crate::cli::tools::human;
use crate::cli::tools::way::Way;
use crate::observe::account::Account;
use crate::observe::commands::wire::{SignalStats, Stats};

/// Show depth, age, disk and books of each signal
///
/// The books are in items: accepted + imported = queued + delivered + rejected + dead + dropped.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spillway queue stats
  spillway queue stats --recount                     exit code 1 unless the books agree with the index
  spillway queue stats --json | jq .signals.logs.books")]
pub(super) struct StatsArgs {
    /// Counts the index beside the books. Takes a while on a long backlog.
    #[arg(long)]
    recount: bool,
}

pub(super) async fn stats(args: &StatsArgs, json: bool, way: &Way) -> Result<Code, Failure> {
    let stats: Stats = way.get(format_args!("/queue/stats?recount={}", args.recount)).await?;
    if json {
        out::json(&stats);
    } else {
        out::lines(table(&stats, way.is_offline()));
    }
    Ok(if imbalance(&stats) == 0 { Code::Fine } else { Code::No })
}

/// Items by which books and index disagree, where they were counted.
pub(super) fn imbalance(stats: &Stats) -> u64 {
    stats.signals.values().filter_map(|signal| signal.recount).map(|count| count.imbalance).sum()
}

fn table(stats: &Stats, offline: bool) -> Vec<String> {
    let state = if offline { "offline: no gateway runs" } else { &stats.state };
    let free = stats.disk_free_bytes.map(|free| format!(", {} free on the volume", human::bytes(free)));
    let disk = format!("{} of {}", human::bytes(stats.disk_bytes), human::bytes(stats.capacity_bytes));
    let dead = format!("{} ({})", human::count(stats.dead_letters), human::bytes(stats.dead_letters_bytes));
    let row = |name: &str, cell: &dyn Fn(Signal, &SignalStats) -> String| {
        let cells = Signal::ALL.into_iter().filter_map(|signal| Some(cell(signal, stats.signals.get(&signal)?)));
        format!("{name:<14}{}", cells.map(|cell| format!(" {cell:>14}")).collect::<String>())
    };
    let books = |name: &str, account: fn(&Account) -> u64| row(name, &|_, signal| human::count(account(&signal.books)));
    let mut lines = vec![
        format!("{:<14} {state}", "state"),
        format!("{:<14} {disk}{}", "disk", free.unwrap_or_default()),
        format!("{:<14} {dead}", "dead letters"),
        String::new(),
        row("", &|signal, _| signal.to_string()),
        row("batches", &|_, signal| human::count(signal.batches)),
        row("size", &|_, signal| human::bytes(signal.bytes)),
        row("oldest", &|_, signal| signal.oldest_ms.map_or("-".to_owned(), human::age)),
        row("leased", &|_, signal| human::count(signal.leased_batches)),
        String::new(),
        "items".to_owned(),
        books("  accepted", |books| books.accepted),
        books("  imported", |books| books.imported),
        books("  queued", |books| books.queued),
        books("    owed", |books| books.owed),
        books("  delivered", |books| books.delivered),
        books("  rejected", |books| books.rejected),
        books("  dead", |books| books.dead.values().sum()),
        books("  dropped", |books| books.dropped.values().sum()),
    ];
    if stats.signals.values().any(|signal| signal.recount.is_some()) {
        let count = |signal: &SignalStats| signal.recount.map(|count| count.imbalance);
        lines.push(row("imbalance", &|_, signal| count(signal).map(human::count).unwrap_or_default()));
    }
    lines
}
