//! Scenario: the dashboard is read as Grafana reads it, and its queries as Prometheus does.
//! Guarantee: it has what an import needs, and nothing that Grafana does not know; every panel says what it shows and in which unit, no
//! two lie on each other, and each query parses.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::Command;

use serde_json::Value;

use crate::shipped;

fn dashboard() -> Value {
    let text = std::fs::read_to_string(shipped::root().join("deploy/grafana/spillway.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn panels(dashboard: &Value) -> &Vec<Value> {
    dashboard["panels"].as_array().unwrap()
}

/// Every query: of panels, of annotations.
fn queries(dashboard: &Value) -> Vec<String> {
    let targets = panels(dashboard).iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let annotations = dashboard["annotations"]["list"].as_array().unwrap();
    targets.chain(annotations).map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn it_imports() {
    let dashboard = dashboard();
    assert_eq!(dashboard["uid"], "spillway");
    assert!(dashboard["id"].is_null(), "a number of another Grafana");
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 36 && dashboard["title"].is_string());
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: BTreeSet<_> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(variables[0]["type"], "datasource");
    assert_eq!(variables[0]["query"], "prometheus");

    let text = dashboard.to_string();
    for at in text.match_indices('$').map(|(at, _)| at + 1) {
        let name: String =
            text[at..].trim_start_matches('{').chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        assert!(name.starts_with("__") || names.contains(name.as_str()), "${name} is not defined");
    }
    let mut seen = BTreeSet::new();
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().unwrap();
        assert!(seen.insert(panel["id"].as_u64().unwrap()), "{title} has another's number");
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        assert!(panel["description"].as_str().unwrap().ends_with('.'), "{title} says nothing of itself");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        let mut letters = BTreeSet::new();
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            assert!(!target["legendFormat"].as_str().unwrap().is_empty(), "{title} has a line without a legend");
            assert!(letters.insert(target["refId"].as_str().unwrap()), "{title} has two queries of one name");
        }
        assert!(!letters.is_empty(), "{title} asks nothing");
        // Otherwise Grafana shows the first of the series, and the others in a list to choose from.
        let as_table = |target: &Value| target["format"] == "table";
        assert!(panel["type"] != "table" || panel["targets"].as_array().unwrap().iter().all(as_table), "{title}");
        // A bound that is null is compared with as if it were 0.
        for mapping in panel["fieldConfig"]["defaults"]["mappings"].as_array().into_iter().flatten() {
            let bounds = &mapping["options"];
            assert!(
                mapping["type"] != "range" || (bounds["from"].is_u64() && bounds["to"].is_u64()),
                "{title}: {bounds}"
            );
        }
    }
}

#[test]
fn no_panel_lies_on_another() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    for panel in panels(&dashboard) {
        let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(side("x") + side("w") <= 24, "{} is too far right", panel["title"]);
        for cell in
            (side("y")..side("y") + side("h")).flat_map(|y| (side("x")..side("x") + side("w")).map(move |x| (x, y)))
        {
            assert!(taken.insert(cell), "{} lies on another panel", panel["title"]);
        }
    }
}

#[test]
fn each_query_parses() {
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (at, query) in queries(&dashboard()).iter().enumerate() {
        let query = query.replace("$__rate_interval", "5m").replace("$instance", ".*");
        rules += &format!("      - {{record: \"query:{at}\", expr: {}}}\n", serde_json::to_string(&query).unwrap());
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(rules.as_bytes()).unwrap();
    let Ok(said) = Command::new("promtool").args(["check", "rules"]).arg(file.path()).output() else {
        crate::skip::aloud("promtool is not installed (Debian's package prometheus has it)");
        return;
    };
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&[said.stdout, said.stderr].concat()));
}

/// The types are those that Grafana publishes of its dashboards and of these kinds of panels.
#[test]
fn it_is_what_grafana_takes() {
    let file = shipped::root().join("deploy/grafana/spillway.json");
    let check = |file: &std::path::Path| {
        let said = Command::new(shipped::root().join("tests/alerts/grafana/check")).arg(file).output().unwrap();
        (said.status.code(), String::from_utf8_lossy(&said.stderr).into_owned())
    };
    let (code, words) = check(&file);
    if code == Some(77) {
        crate::skip::aloud("the dashboard is not held against Grafana's types: Node.js is not there");
        return;
    }
    assert_eq!(code, Some(0), "{words}");
    let text =
        std::fs::read_to_string(&file).unwrap().replacen("\"colorMode\": \"background\"", "\"colorMode\": \"loud\"", 1);
    let mut broken = tempfile::NamedTempFile::new().unwrap();
    broken.write_all(text.as_bytes()).unwrap();
    let (code, words) = check(broken.path());
    assert!(code != Some(0) && words.contains("loud"), "{words}");
}
