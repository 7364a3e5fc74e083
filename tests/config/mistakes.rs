//! Scenario: `spillway run` with a file that holds mistakes of one kind or of many.
//! Guarantee: one clear line each, all at once, exit code 64, and no directory or port was touched.

use std::fs;
use std::path::Path;

use crate::{err, out, spillway};

/// Runs the gateway on `yaml` and gives back what it said; the queue's directory must not have come into being.
fn refused(yaml: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    refused_in(folder.path(), yaml)
}

fn refused_in(folder: &Path, yaml: &str) -> String {
    fs::write(folder.join("f.yaml"), yaml).unwrap();
    let before = fs::read_dir(folder).unwrap().count();
    let output = spillway(folder, &["run", "--config", "f.yaml", "--data-dir", "queue"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{}", err(&output));
    assert_eq!(fs::read_dir(folder).unwrap().count(), before, "something was touched");
    assert_eq!(out(&output), "");
    err(&output)
}

#[test]
fn an_unknown_key() {
    assert_eq!(
        refused("targets:\n  hub: {endpoint: \"http://hub:4317\", timeuot: 10s}\nreplay: {rte: auto}\n")
            .lines()
            .map(|line| (line.split("; expected").next().unwrap(), line.rsplit("; ").next().unwrap()))
            .collect::<Vec<_>>(),
        [
            ("f.yaml:2:38: `timeuot` is not a key of `targets.hub`", "did you mean `timeout`?"),
            ("f.yaml:3:10: `rte` is not a key of `replay`", "did you mean `rate`?"),
            ("2 mistakes in the configuration; nothing was started", "nothing was started"),
        ]
    );
}

#[test]
fn a_bad_duration() {
    let said = refused("targets: {hub: {endpoint: \"http://hub:4317\", timeout: soon}}\n");
    let line = "f.yaml:1:55: `targets.hub.timeout` is soon; expected a duration above 0, such as 500ms, 10s or 1m30s";
    assert_eq!(said.lines().next(), Some(line));
}

#[test]
fn two_targets_of_one_name() {
    let said = refused("targets:\n  hub: {endpoint: \"http://a:4317\"}\n  hub: {endpoint: \"http://b:4317\"}\n");
    let line = "f.yaml:3:3: `hub` is written twice, first on line 2; expected each key once in its map";
    assert_eq!(said.lines().next(), Some(line));
}

#[test]
fn a_chain_that_names_no_target() {
    let said = refused("targets: {hub: {endpoint: \"http://a:4317\"}}\nchain: {primary: hub, fallback: [drect]}\n");
    let line = "f.yaml:2:34: `chain.fallback` names `drect`, which is not a target; expected hub";
    assert_eq!(said.lines().next(), Some(line));
}

#[test]
fn an_unreadable_certificate() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("empty.pem"), "nothing\n").unwrap();
    let said = refused_in(
        folder.path(),
        "targets:\n  hub:\n    endpoint: https://hub:4317\n    tls: {ca_file: missing.pem, cert_file: empty.pem, key_file: .}\n",
    );
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with(
        "f.yaml:4:20: `targets.hub.tls.ca_file`: the file missing.pem cannot be read: No such file or directory"
    ));
    assert_eq!(
        lines[1],
        "f.yaml:4:44: `targets.hub.tls.cert_file`: the file empty.pem does not hold what it should; \
         expected certificates as PEM (-----BEGIN CERTIFICATE-----)"
    );
    assert!(lines[2].contains("key_file`: the file . cannot be read: it is not a file"), "{said}");
}

#[test]
fn a_file_that_is_no_yaml() {
    assert!(refused("targets: {hub: [}\n").starts_with("f.yaml:1:17: this is no YAML: "));
    assert!(refused("targets:\n  hub: {headers: {x: ${TOKEN}}}\n").contains("needs quotes"));
}

#[test]
fn a_file_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let output = spillway(folder.path(), &["run", "--config", "no.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(err(&output).starts_with("no.yaml: the file cannot be read: No such file"), "{}", err(&output));
}

#[test]
fn an_option_that_does_not_fit_is_named_as_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        ["run", "--set", "targets.hub.endpoint=http://hub:4317", "--set", "queue.max_size=huge", "--log", "loud"];
    let output = spillway(folder.path(), &options).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let said = err(&output);
    assert!(said.contains("--set queue.max_size=huge: `queue.max_size` is huge; expected a size"), "{said}");
    assert!(said.contains("--log loud: `telemetry.log` is \"loud\"; expected a level"), "{said}");
}

/// `check --json` gives the same mistakes to programs.
#[test]
fn mistakes_as_json() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("f.yaml"),
        "targets: {hub: {endpoint: \"http://hub:4317\"}}\nqueue: {max_sise: 1GiB}\n",
    )
    .unwrap();
    let output = spillway(folder.path(), &["check", "--config", "f.yaml", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let report: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    let mistake = &report["mistakes"][0];
    assert_eq!(
        (report["ok"].as_bool(), mistake["line"].as_u64(), mistake["column"].as_u64()),
        (Some(false), Some(2), Some(9))
    );
    assert_eq!(mistake["hint"], "did you mean `max_size`?");
}
