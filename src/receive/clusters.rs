//! Spans counted by the cluster that they come from.

use std::sync::{PoisonError, RwLock};

use super::snapshot::Spans;
use crate::otlp::origin::{MOST, OTHER};
use crate::tally::Counter;

/// What spans are told of that come from no named cluster to a gateway without a name.
const UNKNOWN: &str = "unknown";

/// Bytes of a name at most. Names of clusters are short; a longer one is told as [`OTHER`].
const LONGEST: usize = 128;

/// The clusters that spans came from, at most [`MOST`] of them, and all others as one.
#[derive(Debug, Default)]
pub(super) struct Clusters {
    /// In the order in which they were first seen.
    known: RwLock<Vec<Counts>>,
    other: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    name: Box<str>,
    spans: Counter,
    without_context: Counter,
}

impl Counts {
    fn add(&self, spans: u32, without_context: u32) {
        self.spans.add(spans.into());
        self.without_context.add(without_context.into());
    }

    fn told_as(&self, name: &str) -> Spans {
        Spans { cluster: name.to_owned(), spans: self.spans.get(), without_context: self.without_context.get() }
    }
}

impl Clusters {
    /// Spans came from `cluster`; empty for nobody knows where.
    pub(super) fn count(&self, cluster: &str, spans: u32, without_context: u32) {
        let cluster = if cluster.is_empty() { UNKNOWN } else { cluster };
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = known.iter().find(|counts| *counts.name == *cluster) {
            return counts.add(spans, without_context);
        }
        drop(known);
        if cluster == OTHER || cluster.len() > LONGEST {
            return self.other.add(spans, without_context);
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match known.iter().position(|counts| *counts.name == *cluster) {
            Some(at) => known[at].add(spans, without_context),
            None if known.len() < MOST => {
                let counts = Counts { name: cluster.into(), ..Counts::default() };
                counts.add(spans, without_context);
                known.push(counts);
            }
            None => self.other.add(spans, without_context),
        }
    }

    /// What was counted until now, [`OTHER`] last.
    pub(super) fn snapshot(&self) -> Vec<Spans> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let told = known.iter().map(|counts| counts.told_as(&counts.name));
        told.chain([self.other.told_as(OTHER)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More clusters than are told apart, a name of a kilobyte, none at all, and the one that was there first again.
    /// Guarantees that no span is left out, that the first ones keep their place, and that the table is bounded.
    #[test]
    fn further_clusters_are_counted_as_one() {
        let clusters = Clusters::default();
        clusters.count("home", 0, 0);
        clusters.count("", 3, 1);
        for n in 0..100 {
            clusters.count(&format!("cluster-{n}"), 2, 1);
        }
        clusters.count(&"x".repeat(1000), 5, 0);
        clusters.count("home", 7, 2);
        let seen = clusters.snapshot();
        let of = |name: &str| {
            let spans = seen.iter().find(|spans| spans.cluster == name);
            spans.map(|spans| (spans.spans, spans.without_context))
        };
        assert_eq!(seen.len(), MOST + 1);
        assert_eq!((of("home"), of("unknown"), of("cluster-0")), (Some((7, 2)), Some((3, 1)), Some((2, 1))));
        assert_eq!((of("cluster-61"), of("cluster-62")), (Some((2, 1)), None));
        assert_eq!(of("other"), Some((2 * 38 + 5, 38)));
        assert_eq!(seen.last().map(|spans| spans.cluster.as_str()), Some("other"));
    }
}
