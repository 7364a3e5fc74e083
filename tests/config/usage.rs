//! Scenario: help, version, completion, and a command line that is wrong.
//! Guarantee: what was asked for goes to standard output with code 0, complaints go to standard error with code 64.

use crate::{err, out, spillway};

#[test]
fn help_and_version_are_results() {
    let folder = tempfile::tempdir().unwrap();
    for (args, says) in [
        (&["--help"][..], "73  a directory cannot be used"),
        (&["run", "--help"], "OTEL_EXPORTER_OTLP_ENDPOINT=http://hub:4317 spillway run"),
        (&["check", "--help"], "exit code 1 when a target does not answer"),
        (&["--version"], "RocksDB "),
        (&["completion", "bash"], "--ports-file"),
    ] {
        let output = spillway(folder.path(), args).output().unwrap();
        assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""), "{args:?}");
        assert!(out(&output).contains(says), "{args:?}: {}", out(&output));
    }
}

#[test]
fn wrong_usage_has_the_code_of_wrong_configuration() {
    let folder = tempfile::tempdir().unwrap();
    for args in [
        &[][..],
        &["fly"],
        &["run", "--sets", "a=1"],
        &["probe"],
        &["probe", "healthz"],
        &["probe", "livez", "--admin", "x"],
    ] {
        let output = spillway(folder.path(), args).output().unwrap();
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(64), ""), "{args:?}");
        assert!(!err(&output).is_empty(), "{args:?}");
    }
}
