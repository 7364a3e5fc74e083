//! The status as lines of a terminal, in color or without: pure.

use std::time::Duration;

use super::told::{Account, Parts, Target, Told};
use crate::cli::tools::human;
use crate::units::format_duration;

const SIGNALS: [&str; 3] = ["traces", "metrics", "logs"];
/// Cells of the bar of the whole queue, and of each signal's.
const BAR: usize = 24;
/// Events that are shown.
const EVENTS: usize = 6;

/// How lines are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) colors: bool,
}

impl Style {
    fn paint(self, text: &str, color: &str) -> String {
        if self.colors { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.paint(text, "1")
    }

    fn faint(self, text: &str) -> String {
        self.paint(text, "2")
    }
}

/// Everything: headline, chain, queue, books, what happened lately.
pub(super) fn lines(told: &Told, style: Style) -> Vec<String> {
    let mut lines = headline(told, style);
    if let Some(parts) = &told.parts {
        lines.push(String::new());
        lines.push(figures(told, parts, style));
        lines.push(format!("\n{}", style.bold("chain")));
        let name = parts.targets.iter().map(|target| target.name.chars().count()).max().unwrap_or_default();
        lines.extend(parts.targets.iter().flat_map(|one| target(told, parts, one, name, style)));
        lines.push(format!("\n{}", style.bold("queue")));
        lines.extend(queue(told, parts, style));
        lines.push(format!("\n{}", style.bold("books, in items")));
        lines.extend(books(parts, style));
    }
    if !told.timeline.is_empty() {
        lines.push(format!("\n{}", style.bold("lately")));
        let latest = told.timeline.iter().rev().take(EVENTS);
        lines.extend(latest.map(|event| format!("  {:>9}  {}", ago(told, event.at_ms), event.what)));
    }
    lines.iter().flat_map(|line| line.split('\n')).map(str::to_owned).collect()
}

/// One line of it all, where lines are added and not drawn anew.
pub(super) fn line(told: &Told, style: Style) -> String {
    let state = state(told, style);
    let lasts = lasts(told);
    match &told.parts {
        Some(parts) => {
            format!("{state} for {lasts}: {}; {}", told.headline.why, figures(told, parts, style).trim_start())
        }
        None => format!("{state} for {lasts}: {}", told.headline.why),
    }
}

fn headline(told: &Told, style: Style) -> Vec<String> {
    let Told { version, cluster, uptime_seconds, .. } = told;
    let up = time(*uptime_seconds as f64);
    let cluster = if cluster.is_empty() { String::new() } else { format!("{cluster}, ") };
    let who = style.faint(&format!("{cluster}spillway {version}, up {up}"));
    let mut lines = vec![format!("{} for {}   {who}", state(told, style), lasts(told))];
    lines.extend(told.headline.why.split("; ").map(|why| format!("  {why}")));
    lines
}

fn state(told: &Told, style: Style) -> String {
    let word = if told.phase == "running" { told.headline.state.replace('_', " ") } else { told.phase.clone() };
    let color = match told.headline.state.as_str() {
        "normal" => "1;32",
        "replaying" => "1;34",
        "on_fallback" => "1;33",
        "paused" => "1;35",
        _ => "1;31",
    };
    style.paint(&word, color)
}

fn lasts(told: &Told) -> String {
    time(told.now_ms.saturating_sub(told.headline.since_ms) as f64 / 1000.0)
}

fn figures(told: &Told, parts: &Parts, style: Style) -> String {
    let pace = told.history.as_ref().and_then(super::told::History::pace);
    let rate =
        |rate: Option<f64>| rate.map_or("-".to_owned(), |rate| format!("{}/s", human::count(rate.round() as u64)));
    let (lost, waiting) = (parts.lost(), human::items(parts.queued()));
    let lost = style.paint(&format!("lost {}", human::count(lost)), if lost == 0 { "32" } else { "1;31" });
    let dead = match parts.queue.dead_letters.batches {
        0 => String::new(),
        batches => style.paint(&format!(", dead letters {}", human::count(batches)), "33"),
    };
    let (came, went) = (rate(pace.map(|(came, _)| came)), rate(pace.map(|(_, went)| went)));
    format!("  in {came}, out {went}, waiting {waiting} ({}), {lost}{dead}", human::bytes(parts.queue.used_bytes))
}

/// One target, in the order of what counts: a narrow screen cuts the end. `name` is the width of the longest name.
fn target(told: &Told, parts: &Parts, target: &Target, name: usize, style: Style) -> Vec<String> {
    let takes: Vec<&str> = SIGNALS
        .into_iter()
        .filter(|signal| parts.chains.get(*signal).is_some_and(|chain| chain.active == target.name))
        .collect();
    let (word, color) = match (target.up, takes.is_empty()) {
        (false, _) => ("away", "31"),
        (true, false) => ("takes data", "32"),
        (true, true) => ("stands by", "2"),
    };
    let trip = target.round_trip_seconds.map_or("-".to_owned(), |seconds| format!("{:.1}ms", seconds * 1000.0));
    let mut lines = vec![format!(
        "  {:<name$}  {:<8}  {}  {:<19}  breaker {:<13}  in flight {} of {}, round trip {trip}",
        target.name,
        target.role,
        style.paint(&format!("{word:<10}"), color),
        takes.join(" "),
        target.breaker.replace('_', " "),
        target.inflight,
        target.concurrency,
    )];
    if let Some(error) =
        target.last_error.as_ref().filter(|error| target.last_success_ms.is_none_or(|success| error.at_ms > success))
    {
        let next = |what: &str, seconds: Option<f64>| {
            seconds.map_or(String::new(), |seconds| format!("next {what} in {}, ", time(seconds.ceil())))
        };
        let retry = next("try", Some(target.retry_in_seconds).filter(|seconds| *seconds > 0.0));
        let probe = next("probe", target.next_probe_in_seconds);
        let since = target
            .last_success_ms
            .map_or("no success yet".to_owned(), |at| format!("last success {} ago", ago(told, at)));
        lines.push(style.paint(&format!("    {retry}{probe}{since}: {}", error.what), "31"));
    }
    lines
}

fn queue(told: &Told, parts: &Parts, style: Style) -> Vec<String> {
    let queue = &parts.queue;
    let estimate = |word: &str, seconds: Option<f64>| match seconds {
        Some(seconds) => format!("{word} in {}", time(seconds)),
        None => format!("not getting {word}"),
    };
    let share = queue.used_bytes as f64 / queue.capacity_bytes.max(1) as f64;
    let color = if share >= 0.9 {
        "31"
    } else if share >= 0.6 {
        "33"
    } else {
        "32"
    };
    let mut lines = vec![format!(
        "  {:<8} {} {} of {}, {}, {}",
        "all",
        style.paint(&bar(share), color),
        human::bytes(queue.used_bytes),
        human::bytes(queue.capacity_bytes),
        estimate("full", queue.full_in_seconds),
        estimate("empty", queue.empty_in_seconds)
    )];
    for (name, signal) in SIGNALS.into_iter().filter_map(|name| Some((name, queue.signals.get(name)?))) {
        let share = signal.bytes as f64 / queue.capacity_bytes.max(1) as f64;
        let owed = if signal.owed_items > 0 {
            format!(", {} owed to the primary", human::count(signal.owed_items))
        } else {
            String::new()
        };
        let oldest = signal.oldest_ms.map_or(String::new(), |at| format!(", oldest {}", ago(told, at)));
        let (items, bytes) = (human::items(signal.items), human::bytes(signal.bytes));
        lines.push(format!("  {name:<8} {} {items}, {bytes}{oldest}{owed}", style.faint(&bar(share))));
    }
    lines
}

/// A bar of a share; anything at all is seen.
fn bar(share: f64) -> String {
    let full = (share * BAR as f64).ceil().clamp(0.0, BAR as f64) as usize;
    format!("[{}{}]", "#".repeat(full), ".".repeat(BAR - full))
}

/// A column of the books: its name, what stands in it, and whether it is left out where that is nothing.
type Column = (&'static str, fn(&Account) -> u64, bool);

const COLUMNS: [Column; 8] = [
    ("accepted", |account| account.accepted, false),
    ("imported", |account| account.imported, true),
    ("delivered", |account| account.delivered, false),
    ("queued", |account| account.queued, false),
    ("rejected", |account| account.rejected, true),
    ("dead", |account| account.dead.values().sum(), false),
    ("dropped", |account| account.dropped.values().sum(), false),
    ("off by", |account| account.imbalance_items, false),
];

fn books(parts: &Parts, style: Style) -> Vec<String> {
    let accounts: Vec<_> =
        SIGNALS.into_iter().filter_map(|name| Some((name, parts.books.signals.get(name)?))).collect();
    let mut lines = vec!["  signal ".to_owned()];
    lines.extend(accounts.iter().map(|(name, _)| format!("  {name:<7}")));
    for (name, of, optional) in COLUMNS {
        let cells: Vec<_> = accounts.iter().map(|(_, account)| of(account)).collect();
        if optional && cells.iter().all(|cell| *cell == 0) {
            continue;
        }
        let column: Vec<_> = [name.to_owned()].into_iter().chain(cells.into_iter().map(human::count)).collect();
        let width = column.iter().map(String::len).max().unwrap_or_default();
        lines.iter_mut().zip(column).for_each(|(line, cell)| line.push_str(&format!("  {cell:>width$}")));
    }
    lines[0] = style.faint(&lines[0]);
    lines
}

/// How long before the gateway wrote this that was, by its own clock.
fn ago(told: &Told, at_ms: u64) -> String {
    time((told.now_ms.saturating_sub(at_ms) / 1000) as f64)
}

/// In the two largest units.
fn time(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    let coarse = match seconds {
        0 => return "0s".to_owned(),
        1..3600 => seconds,
        3600..86_400 => seconds - seconds % 60,
        _ => seconds - seconds % 3600,
    };
    format_duration(Duration::from_secs(coarse))
}
