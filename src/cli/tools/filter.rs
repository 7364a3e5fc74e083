//! Which batches or dead letters a command is about.

use std::time::Duration;

use clap::Args;

use super::human::now_ms;
use crate::batch::Signal;
use crate::queue::tools::Standing;
use crate::units::parse_duration;

/// Signals and ages
#[derive(Debug, Default, Args)]
pub(in crate::cli) struct Filter {
    /// Only of these signals: traces, metrics, logs.
    #[arg(long, value_name = "SIGNAL", value_delimiter = ',', help_heading = "Filters")]
    pub(in crate::cli) signal: Vec<Signal>,
    /// Only what is older: `90s`, `2h`, `7d`. Of a batch that is since it was received, of a dead letter since its last refusal.
    #[arg(long, value_name = "AGE", value_parser = age, help_heading = "Filters")]
    pub(in crate::cli) older_than: Option<Duration>,
    /// Only what is younger.
    #[arg(long, value_name = "AGE", value_parser = age, help_heading = "Filters")]
    pub(in crate::cli) newer_than: Option<Duration>,
}

/// The ages of a filter as points in time, in milliseconds since the Unix epoch; the second is the first that is out.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Span {
    pub(in crate::cli) from_ms: u64,
    pub(in crate::cli) before_ms: u64,
}

/// Those that were named, or all.
pub(in crate::cli) fn signals(named: &[Signal]) -> impl Iterator<Item = Signal> {
    Signal::ALL.into_iter().filter(|signal| named.is_empty() || named.contains(signal))
}

impl Filter {
    /// Counted from now.
    pub(in crate::cli) fn span(&self) -> Span {
        let ago = |age: Duration| now_ms().saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        Span { from_ms: self.newer_than.map_or(0, ago), before_ms: self.older_than.map_or(u64::MAX, ago) }
    }

    /// Whether it leaves something out.
    pub(in crate::cli) fn is_set(&self) -> bool {
        !self.signal.is_empty() || self.older_than.is_some() || self.newer_than.is_some()
    }
}

impl Span {
    pub(in crate::cli) fn contains(&self, at_ms: u64) -> bool {
        (self.from_ms..self.before_ms).contains(&at_ms)
    }
}

/// Where a batch stands
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum State {
    /// It waits in line
    Queued,
    /// A fallback has it, the primary is still to get it
    Owed,
    /// It is on its way to a target
    Leased,
    /// It is kept apart as a suspect
    Parked,
}

impl State {
    fn is(self, standing: Standing) -> bool {
        match self {
            State::Queued => standing == Standing::Queued,
            State::Owed => standing == Standing::Owed,
            State::Leased => standing == Standing::Leased,
            State::Parked => standing == Standing::Parked,
        }
    }
}

/// What lies in the queue, by signal, age, place and state
#[derive(Debug, Args)]
pub(in crate::cli) struct BatchFilter {
    #[command(flatten)]
    pub(in crate::cli) filter: Filter,
    /// Only in these states.
    #[arg(long, value_name = "STATE", value_delimiter = ',', help_heading = "Filters")]
    state: Vec<State>,
}

impl BatchFilter {
    /// The questions that find them at a path, of each signal those in line before those that are parked.
    pub(in crate::cli) fn questions(&self, path: &str) -> Vec<String> {
        let Span { from_ms, before_ms } = self.filter.span();
        let mut questions = Vec::new();
        for signal in signals(&self.filter.signal) {
            for parked in [false, true].into_iter().filter(|parked| self.looks_at(*parked)) {
                questions.push(format!(
                    "{path}?signal={signal}&parked={parked}&received_from_ms={from_ms}&received_before_ms={before_ms}"
                ));
            }
        }
        questions
    }

    /// Whether one that is meant can be among those that are parked, or among those in line.
    fn looks_at(&self, parked: bool) -> bool {
        let may_be = |state: &State| match state {
            State::Queued | State::Owed => !parked,
            State::Leased => true,
            State::Parked => parked,
        };
        self.state.is_empty() || self.state.iter().any(may_be)
    }

    /// Whether a batch in that state is meant; the rest is asked for.
    pub(in crate::cli) fn takes(&self, standing: Standing) -> bool {
        self.state.is_empty() || self.state.iter().any(|state| state.is(standing))
    }
}

/// Reads an age.
pub(in crate::cli) fn age(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "expected a time such as 90s, 2h or 7d".to_owned())
}
