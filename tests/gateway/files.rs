//! Scenario: under load a `file` target gets another path and another rotation; then, again and again, SIGTERM comes amid such a change.
//! Guarantee: nothing is refused, each change is in force soon and each stop is clean; each acknowledged item stands in one of the
//! files, in whole lines.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal as Kill;
use serde_json::Value;
use spillway::batch::Signal;

use crate::support::client::Load;
use crate::support::gateway::Home;
use crate::support::wait::{seconds, until};

/// By when a change has to be in force: a minute, and another for a machine that has other things to do.
const SOON: Duration = seconds(120);

/// The items in all files of a folder.
fn items_in(folder: &Path) -> HashMap<Signal, BTreeSet<u64>> {
    let mut found = HashMap::<Signal, BTreeSet<u64>>::new();
    for file in fs::read_dir(folder).unwrap() {
        for line in fs::read_to_string(file.unwrap().path()).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let signal = match line.as_object().unwrap().keys().next().unwrap().as_str() {
                "resourceSpans" => Signal::Traces,
                "resourceMetrics" => Signal::Metrics,
                _ => Signal::Logs,
            };
            numbers(&line, found.entry(signal).or_default());
        }
    }
    found
}

fn numbers(value: &Value, found: &mut BTreeSet<u64>) {
    match value {
        Value::Object(object) if object.get("key").is_some_and(|key| key == "test.item") => {
            found.insert(object["value"]["intValue"].as_str().unwrap().parse().unwrap());
        }
        Value::Object(object) => object.values().for_each(|value| numbers(value, found)),
        Value::Array(list) => list.iter().for_each(|value| numbers(value, found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_target_changes_under_load() {
    let home = Home::new();
    let folder = home.path().join("out");
    fs::create_dir(&folder).unwrap();
    let to = |name: &str, megabytes: u32| {
        let path = folder.join(format!("{name}.jsonl"));
        format!(
            "targets: {{disk: {{protocol: file, path: {}, rotation: {{max_megabytes: {megabytes}}}}}}}\n",
            path.display()
        )
    };
    let length = |name: &str| fs::metadata(folder.join(format!("{name}.jsonl"))).map_or(0, |file| file.len());
    let mut gateway = home.start(&to("one", 100));
    let load = Load::start(gateway.grpc, gateway.http, 20, Duration::from_millis(25));
    until("the first file grows", SOON, || length("one") > 100_000).await;

    home.write(&to("two", 100));
    until("the second file grows", SOON, || length("two") > 500_000).await;
    home.write(&to("two", 1));
    let files = || fs::read_dir(&folder).unwrap().count();
    until("it is rotated", SOON, || files() > 2 && length("two") > 0).await;
    assert_eq!(gateway.metric("spillway_refused_items_total", &[]), 0.0, "nothing was refused");

    for name in ["three", "four", "five"] {
        home.write(&to(name, 1));
        gateway.signal(Kill::HUP);
        assert!(gateway.stop().success());
        gateway = home.start(&to(name, 1));
        load.move_to(gateway.grpc, gateway.http);
        until("it grows", SOON, || length(name) > 50_000).await;
    }
    let acknowledged = load.stop().await;
    until("everything is settled", SOON, || gateway.books("queued") == 0).await;
    gateway.assert_balanced();
    for account in ["dead", "dropped", "rejected"] {
        assert_eq!(gateway.books(account), 0, "{account}");
    }
    let found = items_in(&folder);
    for (signal, ids) in &acknowledged {
        let missing: Vec<_> = ids.difference(&found[signal]).collect();
        assert!(missing.is_empty(), "{signal}: {missing:?}\n{}", gateway.log());
    }
}
