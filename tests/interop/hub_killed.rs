//! Scenario: the same stream, and the hub collector is killed in the middle and started again; a second one is the fallback.
//! Guarantee: the fallback took over, and in the end the hub has everything, with few items twice; where the fallback's OK
//! is final, the two together have everything.

use crate::gateway::Home;
use crate::tools::{self, Collector};
use crate::wait::{seconds, until};
use crate::{ITEMS, LEASED};

const SIGNALS: [&str; 3] = ["traces", "metrics", "logs"];

#[tokio::test]
async fn the_hub_has_everything_in_the_end() {
    outage(true).await;
}

#[tokio::test]
async fn a_final_fallback_and_the_hub_have_everything() {
    outage(false).await;
}

async fn outage(replay_to_primary: bool) {
    let Some(programs) = tools::programs() else { return };
    let home = Home::new();
    let (hub_files, fallback_files) = (home.path().join("hub"), home.path().join("fallback"));
    let mut hub = Collector::hub(&programs, &hub_files);
    let fallback = Collector::hub(&programs, &fallback_files);
    let pace = "timeout: 5s, health: {interval: 1s}, breaker: {open_for: 500ms, max_open_for: 2s, ramp: 2s}";
    let gateway = home.start(&format!(
        "targets:\n  \
           hub: {{protocol: otlp_grpc, endpoint: \"http://{}\", {pace}}}\n  \
           fallback: {{protocol: otlp_grpc, endpoint: \"http://{}\", replay_to_primary: {replay_to_primary}, {pace}}}\n\
         chain: {{primary: hub, fallback: [fallback], failover_after: 1s, min_stay: 2s}}\n",
        hub.grpc, fallback.grpc
    ));
    let spoke = Collector::spoke(&programs, gateway.grpc);
    let rate = ITEMS / 12;
    let mut senders = SIGNALS.map(|signal| tools::send(&programs, spoke.grpc, signal, "killed", ITEMS, rate));

    until("the hub gets data", seconds(20), || gateway.books("delivered") > ITEMS / 4).await;
    hub.kill();
    let delivered = |target: &str, signal: &str| {
        let labels = [format!("target=\"{target}\""), format!("signal=\"{signal}\"")];
        gateway.metric("spillway_delivered_items_total", &[&labels[0], &labels[1]])
    };
    until("the fallback takes over each signal", seconds(20), || {
        SIGNALS.iter().all(|signal| delivered("fallback", signal) > 1000.0)
    })
    .await;
    assert!(senders.iter_mut().all(tools::Sender::busy), "the outage has to lie in the middle of the stream");
    hub.restart();
    for sender in senders {
        sender.finish();
    }
    until("everything is settled", seconds(120), || gateway.books("queued") == 0).await;

    gateway.assert_balanced();
    for signal in SIGNALS {
        let at_hub = tools::count(&programs, &[&hub_files], signal, "killed", ITEMS, seconds(1));
        let anywhere = tools::count(&programs, &[&hub_files, &fallback_files], signal, "killed", ITEMS, seconds(1));
        let at_fallback = tools::count(&programs, &[&fallback_files], signal, "killed", ITEMS, seconds(0));
        assert!(at_fallback.distinct > 0, "{signal}");
        assert_eq!((anywhere.missing, anywhere.altered), (0, 0), "{signal}: {anywhere:?}");
        assert!(at_hub.duplicates <= LEASED && at_fallback.duplicates <= LEASED, "{signal}");
        if replay_to_primary {
            assert_eq!(at_hub.missing, 0, "{signal}: {at_hub:?}\n{}", gateway.log());
        } else {
            assert!(anywhere.duplicates <= LEASED, "{signal}: {anywhere:?}");
        }
    }
}
