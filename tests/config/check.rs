//! Scenario: `spillway check` on a good configuration.
//! Guarantee: what is in effect is shown, secrets are not, each fallback's OK is explained, and warnings stand apart.

use std::fs;

use crate::{err, out, spillway};

const YAML: &str = "targets:
  hub: {endpoint: \"https://hub:4317\", headers: {authorization: \"Bearer ${TOKEN}\"}}
  twin: {endpoint: \"https://twin:4317\", replay_to_primary: false}
  disk: {protocol: file, path: /tmp/x.jsonl}
chain: {primary: hub, fallback: [twin, disk], signals: {metrics: {fallback: [twin]}}}
cluster: {name: prod, region: eu}
";

#[test]
fn the_effective_configuration_is_shown_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("f.yaml"), YAML).unwrap();
    let run = |args: &[&str]| spillway(folder.path(), args).env("TOKEN", "hunter2").output().unwrap();
    let output = run(&["check", "--config", "f.yaml", "--set", "queue.max_size=5GiB", "--data-dir", "elsewhere"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let shown = out(&output);
    assert!(!shown.contains("hunter2") && !err(&output).contains("hunter2"));
    for line in [
        "      authorization: \"***\"",
        "  directory: elsewhere",
        "  max_size: 5GiB",
        "    endpoint: \"https://twin:4317\"",
        "# fallback twin (traces, metrics, logs): its OK is final: the primary never gets what it takes (replay_to_primary: false)",
        "# fallback disk (traces, logs): its OK is not the end: what it takes stays queued, and the primary gets it too when it is back",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    assert!(
        err(&output).contains(
            "warning: f.yaml:6:17: `cluster.name` is `prod`; expected <provider>-<region>-<purpose>-<number> in small letters and \
             digits, such as aws-eu-west-1-prod-01; it is used as it is"
        ),
        "{}",
        err(&output)
    );

    // What was shown is a configuration, and the same one.
    fs::write(folder.path().join("shown.yaml"), &shown).unwrap();
    assert_eq!(out(&run(&["check", "--config", "shown.yaml"])), shown);
}

#[test]
fn the_same_as_json() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("f.yaml"), YAML).unwrap();
    let output =
        spillway(folder.path(), &["check", "--json", "-c", "f.yaml"]).env("TOKEN", "hunter2").output().unwrap();
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
    assert!(!out(&output).contains("hunter2"));
    let report: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(report["config"]["targets"]["hub"]["concurrency"]["max"], 32);
    assert_eq!(report["fallbacks"][0]["replay_to_primary"], false);
    assert!(
        report["warnings"]
            .as_array()
            .unwrap()
            .iter()
            .any(|warning| warning.as_str().unwrap().contains("`cluster.name` is `prod`"))
    );
}

/// SPILLWAY_CONFIG names the file where --config does not, as in an image whose command line is fixed.
#[test]
fn the_file_may_be_named_by_a_variable() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("f.yaml"), YAML).unwrap();
    let output =
        spillway(folder.path(), &["check"]).env("SPILLWAY_CONFIG", "f.yaml").env("TOKEN", "x").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
}
