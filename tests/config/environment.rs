//! Scenario: no file; the variables of the OpenTelemetry specification are set, or are not.
//! Guarantee: they describe the primary, options beat them, and without them the message says what to do.

use serde_json::Value;

use crate::{err, out, spillway};

fn check(variables: &[(&str, &str)], options: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let args: Vec<&str> = ["check", "--json"].into_iter().chain(options.iter().copied()).collect();
    let output = spillway(folder.path(), &args).envs(variables.iter().copied()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}{}", out(&output), err(&output));
    serde_json::from_str(&out(&output)).unwrap()
}

#[test]
fn an_endpoint_is_enough() {
    let report = check(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://hub:4317")], &[]);
    let config = &report["config"];
    assert_eq!(config["targets"]["primary"]["protocol"], "otlp_grpc");
    assert_eq!(config["targets"]["primary"]["endpoint"], "http://hub:4317");
    assert_eq!(config["chain"]["primary"], "primary");
}

#[test]
fn options_beat_the_environment_and_the_environment_beats_the_defaults() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://hub:4318"),
        ("SPILLWAY_QUEUE_DIRECTORY", "/from/env"),
        ("CLUSTER_NAME", "c1"),
    ];
    let directory = |options: &[&str]| check(&variables, options)["config"]["queue"]["directory"].clone();
    assert_eq!(directory(&[]), "/from/env");
    assert_eq!(directory(&["--set", "queue.directory=/from/set"]), "/from/set");
    assert_eq!(directory(&["--set", "queue.directory=/from/set", "--data-dir", "/from/option"]), "/from/option");
    assert_eq!(check(&variables, &[])["config"]["cluster"]["name"], "c1");
}

#[test]
fn without_any_the_message_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let output = spillway(folder.path(), &["run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let said = err(&output);
    assert!(
        said.contains("there is no configuration; expected --config FILE, or OTEL_EXPORTER_OTLP_ENDPOINT"),
        "{said}"
    );
}
