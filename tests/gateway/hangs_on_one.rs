//! Scenario: of each signal's load one request gets no answer, ever, though the hub takes all others.
//! Guarantee: it stalls nobody, opens no breaker, moves no traffic; it is parked, in the books.

use std::time::Duration;

use spillway::batch::Signal;

use crate::support::client::{Client, Load, Transport};
use crate::support::gateway::Home;
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_always_hangs_stalls_nobody() {
    for signal in [Signal::Logs, Signal::Metrics] {
        let (hub, fallback) = (Hub::start().await, Hub::start().await);
        let poison = 77;
        hub.hangs_on(signal, poison);
        let home = Home::new();
        let gateway = home.start(&format!(
            "targets:\n  hub: {{protocol: otlp_grpc, endpoint: \"{}\", timeout: 2s}}\n  \
             fallback: {{protocol: otlp_grpc, endpoint: \"{}\"}}\n\
             chain: {{primary: hub, fallback: [fallback]}}\n",
            hub.url(),
            fallback.url()
        ));
        let load = Load::start(gateway.grpc, gateway.http, 5, Duration::from_millis(50));
        until("the hub gets data", seconds(10), || hub.distinct() > 100).await;
        assert!(Client::of(Transport::Grpc, gateway.grpc).send(signal, poison..poison + 1).await);
        until("it is parked", seconds(40), || {
            gateway.metric("spillway_queue_parked_items", &[&format!("signal=\"{signal}\"")]) == 1.0
        })
        .await;
        let acknowledged = load.stop().await;
        until("all others have arrived", seconds(20), || gateway.books("queued") == 1).await;
        assert_eq!(hub.missing(&acknowledged), []);
        assert!((3..=6).contains(&hub.hung()), "{}", hub.hung()); // once among others, perhaps
        assert_eq!((fallback.distinct(), gateway.books("dead")), (0, 0));
        gateway.assert_balanced();
    }
}
