//! Scenario: with the hub away data grows older than `max_age`; SIGKILL; the next start knows no `max_age`, and the hub is back.
//! Guarantee: what was dropped is counted over the kill, and none of it comes back; what comes later arrives.

use spillway::batch::Signal;

use crate::alone;
use crate::support::client::{Client, Transport};
use crate::support::gateway::{Gateway, Home};
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};

fn expired(gateway: &Gateway) -> u64 {
    gateway.metric("spillway_dropped_items", &["reason=\"max_age\""]) as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_too_old_does_not_come_back() {
    let mut hub = Hub::start().await;
    let (mut home, config) = (Home::new(), alone("otlp_grpc", &hub.url()));
    hub.take_away().await;
    home.queue = "max_age: 1s".to_owned();
    let gateway = home.start(&config);
    let client = Client::of(Transport::Grpc, gateway.grpc);
    for signal in Signal::ALL {
        assert!(client.send(signal, 0..10).await);
    }
    until("it is too old", seconds(60), || expired(&gateway) == 30 && gateway.books("queued") == 0).await;
    gateway.kill();

    home.queue.clear();
    hub.bring_back().await;
    let gateway = home.start(&config);
    assert_eq!((expired(&gateway), gateway.books("dropped"), gateway.books("queued")), (30, 30, 0));
    let client = Client::of(Transport::Grpc, gateway.grpc);
    for signal in Signal::ALL {
        assert!(client.send(signal, 100..110).await);
    }
    until("what is new arrives", seconds(60), || gateway.books("queued") == 0).await;
    for signal in Signal::ALL {
        assert!(hub.copies(signal).keys().copied().eq(100..110), "{signal}: {:?}", hub.copies(signal));
    }
    assert_eq!((gateway.books("accepted"), gateway.books("delivered"), gateway.books("dropped")), (60, 30, 30));
    gateway.assert_balanced();
}
