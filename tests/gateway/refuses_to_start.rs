//! Scenario: a port is taken, the directory cannot be used, another gateway holds it, a newer one wrote it.
//! Guarantee: one sentence that names what and where, the documented exit code, and no data touched.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::gateway::Home;

const TARGETS: &str = "targets: {hub: {endpoint: \"http://127.0.0.1:4317\"}}\nchain: {primary: hub}\n";

#[test]
fn a_port_in_use_is_named_and_nothing_is_created() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let queue = folder.path().join("queue");
    let output = run(folder.path(), &address, &queue);
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    assert!(message(&output).contains(&address), "{}", message(&output));
    assert!(!queue.exists(), "the queue was touched");
}

#[test]
fn a_directory_that_cannot_be_used_is_named_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    let output = run(folder.path(), "127.0.0.1:0", &file.join("queue"));
    assert_eq!(output.status.code(), Some(73), "{output:?}");
    assert!(message(&output).contains(file.to_str().unwrap()), "{}", message(&output));
    assert_eq!(fs::read_to_string(&file).unwrap(), "not a directory");
}

#[test]
fn a_second_gateway_is_refused_and_the_first_goes_on() {
    let home = Home::new();
    let first = home.start(TARGETS);
    let output = run(home.path(), "127.0.0.1:0", &home.path().join("queue"));
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    let holder = format!("process {}", first.pid());
    assert!(message(&output).contains("spillway.lock") && message(&output).contains(&holder), "{}", message(&output));
    assert_eq!(first.get("/readyz").0, 200);
}

#[test]
fn a_store_of_a_newer_release_is_refused_untouched() {
    let home = Home::new();
    assert!(home.start(TARGETS).stop().success());
    let queue = home.path().join("queue");
    fs::write(queue.join("spillway.format"), "7\n").unwrap();
    let files = || {
        let files = fs::read_dir(queue.join("store")).unwrap().map(|entry| entry.unwrap());
        let mut seen: Vec<_> = files.map(|file| (file.path(), file.metadata().unwrap().modified().unwrap())).collect();
        seen.sort();
        seen
    };
    let before = files();
    let output = run(home.path(), "127.0.0.1:0", &queue);
    assert_eq!(output.status.code(), Some(74), "{output:?}");
    let said = message(&output);
    let last = said.lines().last().unwrap();
    assert!(last.contains("format 7") && last.contains("up to 1") && last.contains("newer release"), "{last}");
    assert_eq!(files(), before);
}

fn run(folder: &Path, grpc: &str, queue: &Path) -> Output {
    let config = folder.join("refused.yaml");
    let places = format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: \"{grpc}\"}}, http: {{endpoint: \"127.0.0.1:0\"}}}}}}}}\n\
         queue: {{directory: {}}}\nadmin: {{endpoint: \"127.0.0.1:0\"}}\n",
        queue.display()
    );
    fs::write(&config, format!("{TARGETS}{places}")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_spillway")).args(["run", "--config"]).arg(config).output().unwrap()
}

fn message(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
