//! Scenario: a backlog is exported with `spillway queue export`, and a collector's otlpjsonfile receiver reads the file; what that
//! collector's file exporter wrote is brought into another gateway with `spillway queue replay`, which delivers it to another hub.
//! Guarantee: the lines are the collector's own format, both ways: every item arrives, once and unaltered.

use std::path::Path;
use std::process::Command;

use crate::gateway::Home;
use crate::tools::{self, Collector, Count};
use crate::wait::seconds;

const EACH: u64 = 5_000;
const WHOLE: Count = Count { distinct: EACH, duplicates: 0, missing: 0, altered: 0 };

#[tokio::test]
async fn collectors_read_exports_and_gateways_read_collectors() {
    let Some(programs) = tools::programs() else { return };
    let (cut_off, home) = (Home::new(), Home::new());
    let nowhere = "targets: {hub: {protocol: otlp_http, endpoint: \"http://127.0.0.1:9\"}}\nchain: {primary: hub}\n";
    let gateway = cut_off.start(nowhere);
    for signal in ["traces", "metrics", "logs"] {
        tools::send(&programs, gateway.grpc, signal, "export", EACH, 0).finish();
    }
    let (exported, first_files, second_files) =
        (home.path().join("export.jsonl"), home.path().join("first"), home.path().join("second"));
    queue(&["export", &exported.display().to_string()], cut_off.path());

    let hub = Collector::hub(&programs, &first_files);
    let _reader = tools::reader(&programs, &exported.display().to_string(), &hub);
    for signal in ["traces", "metrics", "logs"] {
        let count = tools::count(&programs, &[&first_files], signal, "export", EACH, seconds(60));
        assert_eq!(count, WHOLE, "{signal}, read by a collector");
    }

    let hub = Collector::hub(&programs, &second_files);
    let _gateway = home.start(&format!(
        "targets: {{hub: {{protocol: otlp_grpc, endpoint: \"http://{}\"}}}}\nchain: {{primary: hub}}\n",
        hub.grpc
    ));
    let files =
        ["traces", "metrics", "logs"].map(|signal| first_files.join(format!("{signal}.jsonl")).display().to_string());
    queue(&["replay", &files[0], &files[1], &files[2]], home.path());
    for signal in ["traces", "metrics", "logs"] {
        let count = tools::count(&programs, &[&second_files], signal, "export", EACH, seconds(60));
        assert_eq!(count, WHOLE, "{signal}, read from a collector");
    }
}

fn queue(words: &[&str], home: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spillway"));
    let status = command.arg("queue").args(words).arg("--dir").arg(home.join("queue")).status().unwrap();
    assert!(status.success(), "{words:?}: {status}");
}
