//! Scenario: 200 000 spans, points and records each go from a spoke collector through spillway to a hub collector.
//! Guarantee: all arrive, once, unaltered, counted at the hub by number and seal.

use crate::ITEMS;
use crate::gateway::Home;
use crate::tools::{self, Collector, Count};
use crate::wait::seconds;

#[test]
fn everything_arrives_once_and_unaltered() {
    let Some(programs) = tools::programs() else { return };
    for protocol in ["otlp_grpc", "otlp_http"] {
        let home = Home::new();
        let files = home.path().join("hub");
        let hub = Collector::hub(&programs, &files);
        let address = if protocol == "otlp_grpc" { hub.grpc } else { hub.http };
        let gateway = home.start(&format!(
            "targets: {{hub: {{protocol: {protocol}, endpoint: \"http://{address}\"}}}}\nchain: {{primary: hub}}\n"
        ));
        let spoke = Collector::spoke(&programs, gateway.grpc);
        let senders =
            ["traces", "metrics", "logs"].map(|signal| tools::send(&programs, spoke.grpc, signal, "whole", ITEMS, 0));
        for sender in senders {
            sender.finish();
        }
        for signal in ["traces", "metrics", "logs"] {
            let count = tools::count(&programs, &[&files], signal, "whole", ITEMS, seconds(120));
            assert_eq!(
                count,
                Count { distinct: ITEMS, duplicates: 0, missing: 0, altered: 0 },
                "{signal} over {protocol}"
            );
        }
        gateway.assert_balanced();
    }
}
