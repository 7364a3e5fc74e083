//! Scenario: the same stream with hub and fallback both dead; then the hub returns while new data keeps coming.
//! Guarantee: everything was queued and reaches the hub, and new traces and logs arrive while the backlog drains.

use crate::ITEMS;
use crate::gateway::Home;
use crate::tools::{self, Collector};
use crate::wait::{seconds, until};

#[tokio::test]
async fn what_was_queued_is_replayed_and_new_data_passes_it() {
    let Some(programs) = tools::programs() else { return };
    let home = Home::new();
    let files = home.path().join("hub");
    let mut hub = Collector::hub(&programs, &files);
    hub.kill();
    let gateway = home.start(&format!(
        "targets:\n  \
           hub: {{protocol: otlp_grpc, endpoint: \"http://{}\", health: {{interval: 1s}}, breaker: {{open_for: 500ms, max_open_for: 1s, ramp: 2s}}}}\n  \
           fallback: {{protocol: otlp_grpc, endpoint: \"http://127.0.0.1:1\"}}\n\
         chain: {{primary: hub, fallback: [fallback], failover_after: 1s, min_stay: 1s}}\n\
         replay: {{rate: 1MiB}}\n",
        hub.grpc
    ));
    let spoke = Collector::spoke(&programs, gateway.grpc);
    for signal in ["traces", "metrics", "logs"] {
        tools::send(&programs, spoke.grpc, signal, "queued", ITEMS, 0).finish();
    }
    until("everything is queued", seconds(30), || gateway.books("queued") == 3 * ITEMS).await;

    hub.restart();
    for signal in ["traces", "logs"] {
        tools::send(&programs, spoke.grpc, signal, "fresh", 1000, 0).finish();
        let fresh = tools::count(&programs, &[&files], signal, "fresh", 1000, seconds(30));
        assert_eq!(fresh.missing, 0, "{signal}: {fresh:?}");
        assert!(gateway.books("queued") > 0, "{signal}: the new data came only after the whole backlog");
    }
    until("the backlog has drained", seconds(240), || gateway.books("queued") == 0).await;
    for signal in ["traces", "metrics", "logs"] {
        let count = tools::count(&programs, &[&files], signal, "queued", ITEMS, seconds(10));
        assert_eq!((count.missing, count.altered), (0, 0), "{signal}: {count:?}");
    }
    gateway.assert_balanced();
}
