//! Scenario: the hub, alone in the chain, answers 401, then 400, then 404 to everything, ten seconds each; then it is well.
//! Guarantee `no-verdict-without-witness`: nothing is lost and nothing is dead, whatever a sick hub says.

use std::time::Duration;

use crate::support::client::Load;
use crate::support::gateway::Home;
use crate::support::hub::{Hub, Mood};
use crate::support::wait::{seconds, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_refuses_everything_over_grpc_condemns_nothing() {
    sickness("otlp_grpc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_refuses_everything_over_http_condemns_nothing() {
    sickness("otlp_http").await;
}

async fn sickness(protocol: &str) {
    let hub = Hub::start().await;
    let home = Home::new();
    let gateway = home.start(&format!(
        "targets:\n  hub: {{protocol: {protocol}, endpoint: \"{}\", \
         breaker: {{open_for: 300ms, max_open_for: 1s, ramp: 1s}}}}\nchain: {{primary: hub}}\n",
        hub.url()
    ));
    let load = Load::start(gateway.grpc, gateway.http, 20, Duration::from_millis(20));
    until("the hub gets data", seconds(10), || hub.distinct() > 500).await;
    // UNAUTHENTICATED, INVALID_ARGUMENT, UNIMPLEMENTED
    for (http, grpc) in [(401, 16), (400, 3), (404, 12)] {
        let refused = hub.refused();
        hub.answer(Mood::Refuse(http, grpc));
        tokio::time::sleep(seconds(10)).await;
        assert!(hub.refused() > refused, "nothing was sent while the hub answered {http}");
        assert_eq!(gateway.books("dead") + gateway.books("dropped") + gateway.books("rejected"), 0, "{http}");
    }
    hub.answer(Mood::Accept);
    let acknowledged = load.stop().await;
    until("everything has arrived", seconds(60), || gateway.books("queued") == 0).await;
    assert_eq!(hub.missing(&acknowledged), []);
    assert_eq!(gateway.books("dead") + gateway.books("dropped") + gateway.books("rejected"), 0);
    gateway.assert_balanced();
}
