//! Scenario: with the hub away a fallback takes data that stays owed to the hub; SIGKILL, more of it, SIGKILL, the hub is back.
//! Guarantee `owed-is-paid`: what is owed stays owed over both kills and goes to no fallback twice; the hub gets all of it.

use std::collections::{BTreeSet, HashMap};

use spillway::batch::Signal;

use crate::chain;
use crate::support::client::{Client, Transport};
use crate::support::gateway::{Gateway, Home};
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};

async fn send(gateway: &Gateway, from: u64) {
    let client = Client::of(Transport::Http, gateway.http);
    for signal in Signal::ALL {
        assert!(client.send(signal, from..from + 10).await);
    }
}

fn owed(gateway: &Gateway) -> u64 {
    gateway.metric("spillway_owed_items", &[]) as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debt_outlives_the_process() {
    let (mut hub, fallback) = (Hub::start().await, Hub::start().await);
    let (home, config) = (Home::new(), chain("otlp_grpc", &hub.url(), &fallback.url(), true));
    hub.take_away().await;
    let gateway = home.start(&config);
    send(&gateway, 0).await;
    until("the fallback has it, and it is owed", seconds(60), || owed(&gateway) == 30).await;
    gateway.kill();

    let gateway = home.start(&config);
    assert_eq!((owed(&gateway), gateway.books("queued"), gateway.books("delivered")), (30, 30, 0));
    gateway.assert_balanced();
    send(&gateway, 10).await;
    until("more is owed", seconds(60), || owed(&gateway) == 60).await;
    gateway.kill();

    hub.bring_back().await;
    let gateway = home.start(&config);
    until("the debt is paid", seconds(60), || gateway.books("queued") == 0).await;
    let all: HashMap<_, BTreeSet<_>> = Signal::ALL.map(|signal| (signal, (0..20).collect())).into();
    assert_eq!(hub.missing(&all), []);
    assert_eq!((owed(&gateway), gateway.books("delivered"), gateway.books("dropped")), (0, 60, 0));
    assert_eq!((fallback.distinct(), fallback.duplicates()), (60, 0), "none of it went to the fallback again");
    gateway.assert_balanced();
}
