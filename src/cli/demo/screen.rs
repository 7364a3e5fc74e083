//! What the demo shows while it runs: four bars on a terminal, plain lines elsewhere. All of it goes to stderr.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::ledger::grouped;
use crate::cli::out;

/// Time between two lines of figures where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// The figures of one moment, in items.
pub(super) struct Figures {
    pub(super) acknowledged: u64,
    pub(super) queued: u64,
    pub(super) owed: u64,
    pub(super) primary: u64,
    pub(super) fallback: u64,
}

/// The bars, or the lines in their place.
pub(super) struct Screen {
    bars: MultiProgress,
    client: ProgressBar,
    queue: ProgressBar,
    primary: ProgressBar,
    fallback: ProgressBar,
    began: Instant,
    last_line: Option<Instant>,
}

impl Screen {
    /// `expected` is the number of items that fills a bar.
    pub(super) fn new(expected: u64) -> Screen {
        let bars = MultiProgress::new();
        let style = |color: &str| {
            let template = format!("  {{prefix:<9}} [{{bar:40.{color}}}] {{msg}}");
            ProgressStyle::with_template(&template).expect("a constant template").progress_chars("━╸ ")
        };
        let bar = |name: &'static str, color: &str| {
            bars.add(ProgressBar::new(expected).with_style(style(color)).with_prefix(name))
        };
        let (client, queue) = (bar("client", "cyan"), bar("queue", "yellow"));
        let (primary, fallback) = (bar("hub", "green"), bar("fallback", "magenta"));
        Screen { bars, client, queue, primary, fallback, began: Instant::now(), last_line: None }
    }

    /// One line of the story.
    pub(super) fn say(&self, what: &str) {
        let line = format!("{:5.1}s  {what}", self.began.elapsed().as_secs_f64());
        if self.bars.is_hidden() {
            out::note(&line);
        } else {
            // A terminal that is gone is no reason to end.
            let _ = self.bars.println(line);
        }
    }

    /// The figures of now.
    pub(super) fn show(&mut self, now: &Figures) {
        let set = |bar: &ProgressBar, items: u64, message: String| {
            bar.set_position(items.min(bar.length().unwrap_or(u64::MAX)));
            bar.set_message(message);
        };
        set(&self.client, now.acknowledged, format!("{} items answered OK", grouped(now.acknowledged)));
        set(
            &self.queue,
            now.queued,
            format!("{} queued, {} of them owed to the hub", grouped(now.queued), grouped(now.owed)),
        );
        set(&self.primary, now.primary, format!("{} items", grouped(now.primary)));
        set(&self.fallback, now.fallback, format!("{} items", grouped(now.fallback)));
        if self.bars.is_hidden() && self.last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
            self.last_line = Some(Instant::now());
            self.say(&format!(
                "acknowledged {}, queued {} (owed {}), hub {}, fallback {}",
                grouped(now.acknowledged),
                grouped(now.queued),
                grouped(now.owed),
                grouped(now.primary),
                grouped(now.fallback)
            ));
        }
    }

    /// Leaves the last figures on the terminal.
    pub(super) fn end(&self) {
        for bar in [&self.client, &self.queue, &self.primary, &self.fallback] {
            bar.abandon();
        }
    }
}
