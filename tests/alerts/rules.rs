//! Scenario: the shipped rules are given to promtool, with series in which each alert fires and ends; then rules, pages and unit tests
//! are held against each other.
//! Guarantee: each alert is valid, has a severity, a summary that tells a number and a page, fires and falls silent in a unit test; and
//! no page is left over.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use crate::shipped;

fn promtool(what: &str, files: &[PathBuf]) {
    let Ok(said) = Command::new("promtool").args([what, "rules"]).args(files).output() else {
        crate::skip::aloud("promtool is not installed (Debian's package prometheus has it)");
        return;
    };
    let words = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
    assert!(said.status.success(), "{words}");
}

#[test]
fn the_rules_are_valid() {
    promtool("check", &shipped::files(false));
}

#[test]
fn each_alert_fires_and_falls_silent() {
    promtool("test", &shipped::files(true));
    let tests = shipped::text(&shipped::files(true));
    for alert in shipped::alerts() {
        let name = &alert.name;
        assert!(tests.contains(&format!("alertname: {name}\n")), "no unit test in which {name} fires");
        assert!(tests.contains(&format!("alertname: {name}, exp_alerts: []")), "none in which {name} is silent");
    }
}

#[test]
fn each_alert_says_how_bad_it_is_and_how_much() {
    for alert in shipped::alerts() {
        let (name, text) = (&alert.name, &alert.text);
        assert!(
            ["warning", "critical"].iter().any(|severity| text.contains(&format!("severity: {severity}"))),
            "{name}"
        );
        // A second step of the same alert shares the words of the first.
        let shared = text.contains("annotations: *");
        let number = text.contains("$value") || text.contains("| query");
        assert!(shared || number, "{name} tells no number");
        assert!(shared || text.contains("description: "), "{name}");
    }
}

#[test]
fn each_alert_has_a_page_and_each_page_an_alert() {
    let alerts = shipped::alerts();
    let names: BTreeSet<_> = alerts.iter().map(|alert| alert.name.clone()).collect();
    assert!(names.len() >= 20, "{names:?}");
    for alert in &alerts {
        let page = format!("runbook_url: docs/runbook/{}.md\n", alert.name);
        assert!(
            alert.text.contains(&page) || alert.text.contains("annotations: *"),
            "{} names another page",
            alert.name
        );
    }
    let folder = shipped::root().join("docs/runbook");
    let index = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let mut pages = BTreeSet::new();
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name == "README" {
            continue;
        }
        let page = std::fs::read_to_string(&path).unwrap();
        assert!(page.starts_with(&format!("# {name}\n")), "{name}");
        for part in ["**Means", "**Lost", "**See more", "**Do", "**Over"] {
            assert!(page.contains(part), "{name} does not say {part}**");
        }
        assert!(index.contains(&format!("[{name}]({name}.md)")), "{name} is not in the index");
        pages.insert(name);
    }
    assert_eq!(pages, names);
}

/// The scrape configuration for the Prometheus Operator, beside the manifests whose pods it selects.
#[test]
fn pods_are_scraped_with_their_own_labels() {
    let read = |name: &str| std::fs::read_to_string(shipped::root().join("deploy/kubernetes").join(name)).unwrap();
    let monitors = read("operator/monitor.yaml");
    let monitors: Vec<_> = monitors.split("\n---\n").collect();
    for (monitor, pods) in monitors.iter().zip(["gateway.yaml", "sidecar.yaml"]) {
        assert!(monitor.contains("\n      honorLabels: true"), "the cluster of a span would be replaced");
        let labels = monitor.lines().find_map(|line| line.trim().strip_prefix("matchLabels: ")).unwrap();
        let pods = read(pods);
        assert!(pods.contains(&format!("      labels: {labels}\n")), "{labels} selects no pod");
        assert!(monitor.contains("- port: admin\n") && pods.contains("- {name: admin, containerPort: 8890}"));
    }
    assert_eq!(monitors.len(), 2);
}
