//! Scenario: a `file` target takes 20 000 items of each signal, and a collector's otlpjsonfile receiver reads its files.
//! Guarantee: the lines are the collector's own format: every item arrives at the hub behind it, once and unaltered.

use std::fs;

use crate::gateway::Home;
use crate::tools::{self, Collector, Count};
use crate::wait::{seconds, until};

const EACH: u64 = 20_000;

#[tokio::test]
async fn a_collector_reads_what_a_file_target_wrote() {
    let Some(programs) = tools::programs() else { return };
    let home = Home::new();
    let (files, hub_files) = (home.path().join("out"), home.path().join("hub"));
    fs::create_dir_all(&files).unwrap();
    let gateway = home.start(&format!(
        "targets: {{disk: {{protocol: file, path: {}/telemetry.jsonl, rotation: {{max_megabytes: 5}}}}}}\n\
         chain: {{primary: disk}}\n",
        files.display()
    ));
    for signal in ["traces", "metrics", "logs"] {
        tools::send(&programs, gateway.grpc, signal, "file", EACH, 0).finish();
    }
    until("everything is in the files", seconds(60), || gateway.books("queued") == 0).await;
    assert!(fs::read_dir(&files).unwrap().count() > 1, "the file was to be rotated on the way");

    let hub = Collector::hub(&programs, &hub_files);
    let _reader = tools::reader(&programs, &format!("{}/*.jsonl", files.display()), &hub);
    for signal in ["traces", "metrics", "logs"] {
        let count = tools::count(&programs, &[&hub_files], signal, "file", EACH, seconds(60));
        assert_eq!(count, Count { distinct: EACH, duplicates: 0, missing: 0, altered: 0 }, "{signal}");
    }
}
