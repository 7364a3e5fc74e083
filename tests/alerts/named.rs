//! Scenario: rules, pages of the runbook and the dashboard name metrics and their labels.
//! Guarantee: none names a family, or a label of it, that the registry does not hold. `docs/metrics.md` stands for the registry, to which
//! a test of `tests/observe` holds it equal.

use std::collections::{BTreeMap, BTreeSet};

use crate::shipped;

/// Labels that a scrape adds.
const OF_THE_SCRAPE: [&str; 5] = ["instance", "job", "pod", "node", "uid"];

/// What a family is called by whom it is sent to, and not scraped of: the heartbeat (`src/app/own/heartbeat.rs`).
const SENT: (&str, &str) = ("spillway_heartbeat", "cluster");

/// The beginnings of all our families.
const OURS: [&str; 4] = ["spillway_", "process_", "cross_cluster_request", "spans_"];

/// Each family and its labels.
fn registry() -> BTreeMap<String, BTreeSet<String>> {
    let page = std::fs::read_to_string(shipped::root().join("docs/metrics.md")).unwrap();
    let mut families = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, name, kind, labels, ..] = cells[..] else { panic!("{line}") };
        let labels: BTreeSet<_> = labels.split(", ").map(|label| label.trim_matches('`').to_owned()).collect();
        let name = name.trim_matches('`').to_owned();
        match kind {
            "histogram" | "summary" => {
                families.insert(format!("{name}_sum"), labels.clone());
                families.insert(format!("{name}_count"), labels.clone());
                let with_bounds = labels.iter().cloned().chain(["le".to_owned()]).collect();
                families.insert(format!("{name}_bucket"), with_bounds);
                families.insert(name, labels);
            }
            "counter" | "gauge" => drop(families.insert(name, labels)),
            _ => {}
        }
    }
    families.insert(SENT.0.to_owned(), BTreeSet::from([SENT.1.to_owned()]));
    families
}

/// Every word of a text that is a family's name, with what stands in braces behind it.
fn named(text: &str) -> Vec<(&str, Option<&str>)> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(part) {
        rest = &rest[start..];
        let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        if OURS.iter().any(|ours| word.starts_with(ours)) && !behind.starts_with(':') {
            let braces = behind.strip_prefix('{').and_then(|inside| inside.split_once('}'));
            found.push((word, braces.map(|(inside, _)| inside)));
        }
        rest = behind;
    }
    found
}

#[test]
fn nothing_names_a_metric_or_a_label_that_is_gone() {
    let families = registry();
    assert!(families.len() > 100, "{}", families.len());
    let mut gone = Vec::new();
    let mut count = 0;
    for folder in ["deploy/prometheus", "deploy/grafana", "docs/runbook"] {
        for file in std::fs::read_dir(shipped::root().join(folder)).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap().replace("\\\"", "\"");
            for (name, braces) in named(&text) {
                count += 1;
                let Some(labels) = families.get(name) else {
                    gone.push(format!("{}: {name}", path.display()));
                    continue;
                };
                // Of a label its name stands before the operator, in a page of the runbook alone.
                for label in braces.unwrap_or_default().split(',').filter(|label| !label.trim().is_empty()) {
                    let label = label.trim().split(['=', '!', '~', '|']).next().unwrap_or_default();
                    if !labels.contains(label) && !OF_THE_SCRAPE.contains(&label) {
                        gone.push(format!("{}: {name}{{{label}}}", path.display()));
                    }
                }
            }
        }
    }
    assert!(count > 300, "only {count} names found: the test looks in the wrong place");
    assert!(gone.is_empty(), "not in the registry: {gone:#?}");
}

/// Labels that queries group by, or that summaries and legends show.
#[test]
fn nothing_groups_by_a_label_that_is_gone() {
    let families = registry();
    let known: BTreeSet<_> = families.values().flatten().map(String::as_str).chain(OF_THE_SCRAPE).collect();
    let text = shipped::text(&shipped::files(false))
        + &std::fs::read_to_string(shipped::root().join("deploy/grafana/spillway.json")).unwrap();
    let mut count = 0;
    for words in ["by (", "without (", "ignoring (", "on (", "$labels.", "{{"] {
        for (at, _) in text.match_indices(words) {
            let inside = &text[at + words.len()..];
            let end = inside.find(|c: char| !(c.is_ascii_alphanumeric() || "_, ".contains(c))).unwrap_or(inside.len());
            let shown = words == "$labels.";
            let list = if shown { inside[..end].split([' ', ',']).next().unwrap_or_default() } else { &inside[..end] };
            for label in list.split(", ").filter(|label| !label.is_empty() && !label.contains(' ')) {
                count += 1;
                assert!(known.contains(label), "{words}{label}: {}", &inside[..inside.len().min(60)]);
            }
        }
    }
    assert!(count > 100, "only {count} labels found");
}
