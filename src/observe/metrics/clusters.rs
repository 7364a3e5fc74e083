//! Families of what goes from cluster to cluster. They have the names that rules for several clusters look for, without our prefix.

use std::collections::BTreeMap;

use super::family::{Family, Page};
use crate::{deliver, receive};

static DURATION: Family = Family::histogram(
    "cross_cluster_request_duration_seconds",
    &["source_cluster", "target_cluster"],
    "Time from sending a request to another cluster to its answer, or to giving it up.",
);
static SPANS: Family = Family::counter(
    "spans_total",
    &["cluster"],
    "Spans in requests that could be read, by the k8s.cluster.name of their resource; beyond 64 clusters, other.",
);
static WITHOUT_CONTEXT: Family = Family::counter(
    "spans_without_parent_context_total",
    &["cluster"],
    "Spans of kind SERVER or CONSUMER without a parent that carry cross_cluster.source: their caller's context was lost.",
);

pub(super) static FAMILIES: &[&Family] = &[&DURATION, &SPANS, &WITHOUT_CONTEXT];

/// Writes what went out of the cluster of that name, and whose spans came in.
pub(super) fn fill(
    page: &mut Page,
    source: &str,
    doors: &receive::snapshot::Snapshot,
    deliver: &deliver::snapshot::Snapshot,
) {
    let mut by_cluster = BTreeMap::new();
    for target in deliver.targets.iter().filter(|target| !target.file) {
        let cluster = if target.cluster.is_empty() { &target.name } else { &target.cluster };
        let known = by_cluster.entry(cluster.as_str());
        known
            .and_modify(|sum: &mut crate::tally::Distribution| sum.add(&target.export_duration))
            .or_insert_with(|| target.export_duration.clone());
    }
    for (cluster, duration) in by_cluster {
        page.distribution(&DURATION, &[source, cluster], duration);
    }
    for of in &doors.spans {
        page.count(&SPANS, &[&of.cluster], of.spans);
        page.count(&WITHOUT_CONTEXT, &[&of.cluster], of.without_context);
    }
}
