//! Scenario: hub and fallback are both away while data comes in; then the hub returns alone, and data keeps coming.
//! Guarantee: everything was queued and reaches the hub, and new traces and logs arrive while the backlog still drains.

use std::time::Duration;

use spillway::batch::Signal;

use crate::chain;
use crate::support::client::{Client, Load, Transport};
use crate::support::gateway::Home;
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};

/// Numbers of the items sent after the hub's return, apart from the load's own.
const LATER: u64 = 1 << 50;

#[tokio::test(flavor = "multi_thread")]
async fn the_backlog_drains_while_new_data_passes_it() {
    let (mut hub, mut fallback) = (Hub::start().await, Hub::start().await);
    hub.take_away().await;
    fallback.take_away().await;
    let home = Home::new();
    // A slow replay, so that there is a time in which both flow.
    let config = chain("otlp_grpc", &hub.url(), &fallback.url(), true);
    let gateway = home.start(&format!("{config}replay: {{rate: 256KiB}}\n"));
    let load = Load::start(gateway.grpc, gateway.http, 200, Duration::from_millis(1));
    // More than the memory ring holds, so that the backlog is on disk.
    until("a backlog", seconds(60), || load.acknowledged() > 400_000).await;
    until("the partition is told", seconds(20), || gateway.metric("spillway_partition_active", &[]) == 3.0).await;
    let mut acknowledged = load.stop().await;
    assert_eq!(gateway.books("queued"), gateway.books("accepted"));

    hub.bring_back().await;
    let client = Client::of(Transport::Grpc, gateway.grpc);
    for signal in [Signal::Traces, Signal::Logs] {
        assert!(client.send(signal, LATER..LATER + 10).await);
        acknowledged.entry(signal).or_default().extend(LATER..LATER + 10);
    }
    until("the new items", seconds(30), || {
        [Signal::Traces, Signal::Logs].iter().all(|signal| hub.copies(*signal).contains_key(&LATER))
    })
    .await;
    let behind = gateway.books("queued");
    assert!(behind > 0, "the new items came only after the whole backlog");
    until("the backlog has drained", seconds(120), || gateway.books("queued") == 0).await;
    assert_eq!(hub.missing(&acknowledged), []);
    assert!(hub.order().iter().any(|(_, _, replay)| *replay), "the backlog is marked as a replay");
    until("the partition is over", seconds(5), || gateway.metric("spillway_partition_active", &[]) == 0.0).await;
    gateway.assert_balanced();
}
