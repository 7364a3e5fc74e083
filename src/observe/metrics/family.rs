//! The words of an exposition: families, samples, and the page on which a scrape collects them.
//!
//! The groups beside this file fill a [`Page`] from snapshots; `registry` turns it into what the metrics library wants.
//! So the library is named there alone.

use crate::tally::Distribution;

/// What kind of number a family holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution over buckets.
    Histogram,
    /// A sum and a count, without quantiles.
    Summary,
}

/// One metric: its name, its labels and what it means.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

impl Family {
    pub(super) const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
        Family { name, kind: Kind::Counter, labels, help }
    }

    pub(super) const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
        Family { name, kind: Kind::Gauge, labels, help }
    }

    pub(super) const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
        Family { name, kind: Kind::Histogram, labels, help }
    }

    pub(super) const fn summary(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
        Family { name, kind: Kind::Summary, labels, help }
    }
}

/// The value of one sample.
#[derive(Debug)]
pub(super) enum Value {
    Number(f64),
    Distribution(Distribution),
    Sum { count: u64, sum: f64 },
}

/// One value of a family with its label values, in the order of [`Family::labels`].
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) labels: Vec<String>,
    pub(super) value: Value,
}

/// All that one scrape tells.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) families: Vec<(&'static Family, Vec<Sample>)>,
}

impl Page {
    /// A gauge or counter of any value.
    pub(super) fn number(&mut self, family: &'static Family, labels: &[&str], value: f64) {
        self.push(family, labels, Value::Number(value));
    }

    /// A whole number. Beyond 2^53 the last digits go, as they do in every Prometheus.
    pub(super) fn count(&mut self, family: &'static Family, labels: &[&str], value: u64) {
        self.number(family, labels, value as f64);
    }

    /// 1 or 0.
    pub(super) fn flag(&mut self, family: &'static Family, labels: &[&str], value: bool) {
        self.number(family, labels, f64::from(u8::from(value)));
    }

    /// A point in time as seconds since the Unix epoch; 0 for one that never was.
    pub(super) fn timestamp(&mut self, family: &'static Family, labels: &[&str], unix_ms: Option<u64>) {
        self.number(family, labels, unix_ms.unwrap_or(0) as f64 / 1e3);
    }

    /// A time to come in seconds; +Inf for one that is not in sight.
    pub(super) fn eta(&mut self, family: &'static Family, labels: &[&str], eta: Option<std::time::Duration>) {
        self.number(family, labels, eta.map_or(f64::INFINITY, |eta| eta.as_secs_f64()));
    }

    /// A histogram.
    pub(super) fn distribution(&mut self, family: &'static Family, labels: &[&str], value: Distribution) {
        self.push(family, labels, Value::Distribution(value));
    }

    /// A sum and a count.
    pub(super) fn sum(&mut self, family: &'static Family, labels: &[&str], count: u64, sum: f64) {
        self.push(family, labels, Value::Sum { count, sum });
    }

    fn push(&mut self, family: &'static Family, labels: &[&str], value: Value) {
        debug_assert_eq!(labels.len(), family.labels.len(), "{} has labels {:?}", family.name, family.labels);
        let sample = Sample { labels: labels.iter().map(|&label| label.to_owned()).collect(), value };
        // Groups fill family by family or in small loops over a few: searching from the end finds it within some steps.
        match self.families.iter_mut().rev().find(|(known, _)| std::ptr::eq(*known, family)) {
            Some((_, samples)) => samples.push(sample),
            None => self.families.push((family, vec![sample])),
        }
    }
}
