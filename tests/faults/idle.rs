//! Scenario: everything is settled, a second passes in which nothing comes, kill -9, and a new start. Guarantee: nothing is sent
//! again.

use std::time::Duration;

use spillway::batch::Signal;

use crate::support::client::{Client, Load, Transport};
use crate::support::gateway::Home;
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};
use crate::to;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_settled_a_second_ago_is_not_sent_again() {
    let hub = Hub::start().await;
    let (config, home) = (to(&hub.url()), Home::new());
    let mut gateway = home.start(&config);
    let load = Load::start(gateway.grpc, gateway.http, 5, Duration::from_millis(2));
    until("some hundred requests", seconds(20), || load.acknowledged() > 3000).await;
    let acknowledged = load.stop().await;
    until("everything is at the hub", seconds(20), || hub.missing(&acknowledged).is_empty()).await;
    let copies = || hub.distinct() + hub.duplicates();
    for round in 0..3 {
        tokio::time::sleep(seconds(1)).await;
        let before = copies();
        gateway.kill();
        gateway = home.start(&config);
        assert_eq!(gateway.books("queued"), 0, "settles were lost:\n{}", gateway.log());
        // What would be sent again would come before these, or with them.
        for signal in Signal::ALL {
            let id = (1 << 50) + round;
            assert!(Client::of(Transport::Grpc, gateway.grpc).send(signal, id..id + 1).await);
            until("it arrives", seconds(20), || hub.copies(signal).contains_key(&id)).await;
        }
        assert_eq!(copies(), before + 3, "in round {round}");
    }
}
