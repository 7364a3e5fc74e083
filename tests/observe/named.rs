//! Scenario: alert rules and the pages of the runbook name metrics.
//! Guarantee: none names one that the registry does not hold.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::Gateway;

#[tokio::test]
async fn no_alert_names_a_metric_that_is_gone() {
    let gateway = Gateway::running().await;
    let known: BTreeSet<_> = gateway.registry.gather().iter().map(|family| family.name().to_owned()).collect();
    let mut gone = Vec::new();
    let mut named = 0;
    for folder in ["deploy/prometheus", "docs/runbook"] {
        for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let path = file.unwrap().path();
            for word in std::fs::read_to_string(&path).unwrap().split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            {
                if word.starts_with("spillway_") {
                    named += 1;
                    let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
                    if !known.contains(word) && !family.is_some_and(|family| known.contains(family)) {
                        gone.push(format!("{}: {word}", path.display()));
                    }
                }
            }
        }
    }
    assert!(named > 20, "only {named} names found: the test looks in the wrong place");
    assert!(gone.is_empty(), "not in the registry: {gone:#?}");
}
