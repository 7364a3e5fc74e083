//! Scenario: a gateway with a backlog is drained: against time, interrupted, and until its hub is back.
//! Guarantee: while it is drained nothing is taken and /readyz says so; it ends well only when all is delivered; whatever else
//! ends it leaves a gateway that takes data.

use std::process::{Child, Stdio};

use rustix::process::{Pid, kill_process};
use spillway::batch::Signal;

use crate::support::client::{Client, Transport};
use crate::support::gateway::{Gateway, Home};
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};
use crate::{Said, Way, command, filled, send, spillway};

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_well_when_everything_is_delivered() {
    let mut hub = Hub::start().await;
    hub.take_away().await;
    let home = Home::new();
    let gateway = home.start(&format!(
        "targets: {{hub: {{protocol: otlp_http, endpoint: \"{}\", health: {{interval: 300ms, timeout: 2s}}, \
         retry: {{initial_interval: 100ms, max_interval: 500ms}}, \
         breaker: {{open_for: 300ms, max_open_for: 500ms, ramp: 1s}}}}}}\nchain: {{primary: hub}}\n",
        hub.url()
    ));
    send(&gateway, 0..10).await;

    let late = spillway(&home, "drain --timeout 600ms");
    assert_eq!(late.code, 75, "{late}");
    assert!(late.err.contains("30 batches (300 items"), "{late}");
    assert_eq!(gateway.get("/readyz").0, 200, "the intake is open again");

    let draining = start(&home, &gateway).await;
    kill_process(Pid::from_child(&draining), rustix::process::Signal::INT).unwrap();
    let said = Said::from(draining.wait_with_output().unwrap());
    assert!(said.code == 1 && said.err.contains("open again"), "{said}");
    assert_eq!(gateway.get("/readyz").0, 200);

    let draining = start(&home, &gateway).await;
    let client = Client::of(Transport::Grpc, gateway.grpc);
    assert!(!client.send(Signal::Logs, 9000..9001).await, "nothing is taken");
    hub.bring_back().await;
    let said = Said::from(draining.wait_with_output().unwrap()).fine().json();
    assert_eq!((&said["batches"], &said["items"], &said["intake_closed"]), (&0.into(), &0.into(), &true.into()));
    assert_eq!((hub.distinct(), gateway.books("delivered")), (300, 300));
    assert_eq!(gateway.get("/readyz").0, 503, "it stays closed");

    spillway(&home, "drain --cancel").fine();
    assert_eq!(gateway.get("/readyz").0, 200);
    send(&gateway, 10..11).await;
    spillway(&home, "drain --reopen --timeout 20s").fine();
    assert_eq!((gateway.get("/readyz").0, hub.distinct()), (200, 330));
}

/// Without a gateway nothing is delivered by waiting.
#[tokio::test]
async fn offline_it_says_at_once_what_is_left() {
    let home = Home::new();
    filled(&home, Way::Offline, 1).await;
    let said = spillway(&home, "drain");
    assert!(said.code == 69 && said.err.contains("3 batches queued, and no gateway runs"), "{said}");
    spillway(&home, "queue purge --all --yes").fine();
    spillway(&home, "drain").fine();
}

/// Starts a drain and waits until the gateway is drained.
async fn start(home: &Home, gateway: &Gateway) -> Child {
    let draining =
        command(home, "drain --json --timeout 30s").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("it is being drained", seconds(10), || {
        let (code, text) = gateway.get("/readyz");
        code == 503 && text.contains("draining")
    })
    .await;
    draining
}
