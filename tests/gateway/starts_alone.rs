//! Scenario: the hub's name does not resolve, the fallback's port is closed, and the gateway starts.
//! Guarantee `starts-alone`: it is ready within a second and accepts; what it accepted is queued.

use spillway::batch::Signal;

use crate::chain;
use crate::support::client::{Client, Transport};
use crate::support::gateway::Home;
use crate::support::wait::seconds;

#[tokio::test(flavor = "multi_thread")]
async fn ready_and_accepting_without_any_target() {
    let home = Home::new();
    let start = || home.start(&chain("otlp_grpc", "http://hub.invalid:4317", "http://127.0.0.1:1", true));
    // The machine may have other things to do; a start that waits for a target is late each time.
    let mut gateway = start();
    for _ in 0..9 {
        if gateway.started_in >= seconds(1) {
            gateway.stop();
            gateway = start();
        }
    }
    assert!(gateway.started_in < seconds(1), "listening only after {:?}", gateway.started_in);
    assert_eq!(gateway.get("/readyz").0, 200);
    assert_eq!(gateway.get("/livez").0, 200);
    for (transport, address) in [(Transport::Grpc, gateway.grpc), (Transport::Http, gateway.http)] {
        for signal in Signal::ALL {
            assert!(Client::of(transport, address).send(signal, 0..10).await, "{signal} over {transport:?}");
        }
    }
    assert_eq!(gateway.books("queued"), 60);
    gateway.assert_balanced();
}
