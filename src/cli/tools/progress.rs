//! A bar for work that takes a while, on standard error and only where that is a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shorter work shows none.
const PATIENCE: Duration = Duration::from_millis(500);

/// What the positions of a bar are.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) enum Unit {
    Count,
    Bytes,
}

/// A bar. Gone from the terminal once dropped.
#[derive(Debug)]
pub(in crate::cli) struct Progress {
    bar: ProgressBar,
    began: Instant,
}

impl Progress {
    /// Of so much, of which nothing is done yet.
    pub(in crate::cli) fn new(what: &'static str, unit: Unit, total: u64) -> Progress {
        let figures = match unit {
            Unit::Count => "{human_pos} of {human_len}",
            Unit::Bytes => "{binary_bytes} of {binary_total_bytes}",
        };
        let template = format!("{{prefix}} [{{bar:30}}] {figures} {{msg}}");
        let style = ProgressStyle::with_template(&template).expect("a constant template").progress_chars("=> ");
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        Progress { bar: bar.with_style(style).with_prefix(what), began: Instant::now() }
    }

    /// So much is done; more than was thought is fine, too.
    pub(in crate::cli) fn at(&self, position: u64) {
        if self.bar.is_hidden() && self.began.elapsed() >= PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_length(self.bar.length().unwrap_or_default().max(position));
        self.bar.set_position(position);
    }

    /// A word beside the bar.
    pub(in crate::cli) fn say(&self, word: String) {
        self.bar.set_message(word);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
