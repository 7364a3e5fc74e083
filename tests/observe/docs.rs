//! Scenario: the families that the registry gathers are written as a table.
//! Guarantee: `docs/metrics.md` holds exactly that table. `UPDATE_DOCS=1` writes it anew.

use std::fmt::Write;
use std::path::Path;

use crate::support::Gateway;

const INTRODUCTION: &str = "\
# Metrics

`GET /metrics` on the admin port (8890) gives these families in the Prometheus text format. This page is written from the
registry by `UPDATE_DOCS=1 cargo test --test observe`, and a test keeps both equal.

`deploy/grafana/spillway.json` draws them in Grafana, from a data source of Prometheus. It was imported into Grafana 9.4 (a state before
its release) and looked at there, light and dark, through outages; its types are held against those that Grafana 13.2 publishes. Where
a Grafana is installed, or `SPILLWAY_GRAFANA` names the home of one, `cargo test --test alerts imported` imports it and asks each query.

- Every label value is there from the start, so an alert on it works before it first happened. It reads 0, except where 0 would
  be a lie: a time to come that is not in sight is `+Inf`.
- `*_total` counters, histograms and summaries count since the process started. The ledger (`spillway_books_items`,
  `spillway_dead_items`, `spillway_dropped_items`, `spillway_owed_items`) lives with the queue on disk, across restarts. It is
  told as gauges, since what was not synced may step back after a power loss.
- `target` is the name in the configuration, `signal` is `traces`, `metrics` or `logs`. Items are spans, data points and log
  records.
- `spillway_failovers_total` counts for each signal: a primary that dies moves three chains. For \"how often did we fail over\"
  take the maximum over the signals and leave out `reason=\"recovered\"`, which is the way back.
- Three families have no prefix: `cross_cluster_request_duration_seconds`, `spans_total` and `spans_without_parent_context_total` are what
  rules for several clusters look for. Their `cluster` is whose spans they are, not who was scraped: scrape with `honor_labels: true`.
  `source_cluster` is this gateway's `cluster.name`, `target_cluster` the target's `cluster`, or its name where it has none.

Buckets of histograms, in seconds, and why these:

| name | from | to | steps | |
|---|---|---|---|---|
| `spillway_ack_duration_seconds` | 0.0005 | 4 | 1, 2.5, 5 | from one group commit on a fast disk to the longest that a client is left without an answer |
| `spillway_admission_wait_seconds` | 0.0001 | 2 | 5 to 10 times | the first bucket is who did not wait; nobody waits longer than the last |
| `spillway_commit_duration_seconds` | 0.0001 | 10 | 1, 2, 5 | an fsync takes from 0.1 ms on flash to seconds on a volume that is ill |
| `spillway_export_duration_seconds`, `cross_cluster_request_duration_seconds` | 0.001 | 30 | 1, 2.5, 5 | from a hub beside it to the longest usual timeout; the bounds that alerts ask for (0.5, 1, 2.5, 5 s) are bounds here, so a quantile is not guessed across them |

";

#[tokio::test]
async fn the_table_in_the_docs_is_the_registry() {
    let gateway = Gateway::running().await;
    let mut page = INTRODUCTION.to_owned();
    page.push_str("| name | type | labels | meaning |\n|---|---|---|---|\n");
    for family in gateway.registry.gather() {
        let kind = format!("{:?}", family.get_field_type()).to_lowercase();
        let labels: Vec<_> =
            family.get_metric()[0].get_label().iter().map(|pair| format!("`{}`", pair.name())).collect();
        writeln!(page, "| `{}` | {kind} | {} | {} |", family.name(), labels.join(", "), family.help()).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let docs = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(docs == page, "docs/metrics.md is not what the registry holds: UPDATE_DOCS=1 cargo test --test observe");
}
