//! Scenario: SIGTERM while every target is dead and the queue is not empty; then a new start with a hub.
//! Guarantee `stop-is-bounded`: the process ends within its grace period with exit code 0, and nothing queued is lost.

use std::time::Instant;

use spillway::batch::Signal;

use crate::chain;
use crate::support::client::{Client, Transport};
use crate::support::gateway::Home;
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_no_target_and_loses_nothing() {
    let mut hub = Hub::start().await;
    hub.take_away().await;
    let home = Home::new();
    let config = chain("otlp_http", &hub.url(), "http://127.0.0.1:1", true);
    let gateway = home.start(&config);
    let client = Client::of(Transport::Http, gateway.http);
    for round in 0..20 {
        assert!(client.send(Signal::Logs, round * 10..round * 10 + 10).await);
    }
    let began = Instant::now();
    assert_eq!(gateway.stop().code(), Some(0));
    assert!(began.elapsed() < seconds(30), "it took {:?}", began.elapsed());

    let gateway = home.start(&config);
    assert_eq!(gateway.books("queued"), 200);
    hub.bring_back().await;
    until("everything at the hub", seconds(20), || hub.copies(Signal::Logs).len() == 200).await;
    until("the books are closed", seconds(5), || gateway.books("queued") == 0).await;
    gateway.assert_balanced();
}
