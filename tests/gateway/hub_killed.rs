//! Scenario: under load the hub dies, stays away long enough for the fallback to take over, and returns.
//! Guarantee `owed-is-paid`: the hub ends up with everything; without `replay_to_primary` the two have everything once.

use std::time::Duration;

use crate::chain;
use crate::support::client::Load;
use crate::support::gateway::Home;
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};

/// Most items that can be in flight towards one target: 32 requests of 50 items.
const LEASED: u64 = 32 * 50;

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_gets_what_it_missed() {
    outage("otlp_grpc", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_fallback_and_the_hub_have_everything_together() {
    outage("otlp_http", false).await;
}

async fn outage(protocol: &str, replay_to_primary: bool) {
    let (mut hub, fallback) = (Hub::start().await, Hub::start().await);
    let home = Home::new();
    let gateway = home.start(&chain(protocol, &hub.url(), &fallback.url(), replay_to_primary));
    let load = Load::start(gateway.grpc, gateway.http, 50, Duration::from_millis(10));

    until("the hub gets data", seconds(10), || hub.distinct() > 2000).await;
    assert_eq!(fallback.distinct(), 0, "the fallback is left alone while the hub is well");
    hub.take_away().await;
    until("the fallback takes over, all signals", seconds(20), || {
        spillway::batch::Signal::ALL.iter().all(|signal| fallback.copies(*signal).len() > 500)
    })
    .await;
    hub.bring_back().await;
    let at_return = hub.distinct();
    until("the hub gets fresh data again", seconds(30), || hub.distinct() > at_return + 2000).await;
    let acknowledged = load.stop().await;
    until("everything is settled", seconds(60), || gateway.books("queued") == 0).await;

    gateway.assert_balanced();
    assert!(hub.duplicates() <= LEASED, "{} duplicates at the hub", hub.duplicates());
    assert!(fallback.duplicates() <= LEASED, "{} duplicates at the fallback", fallback.duplicates());
    let missing = hub.missing(&acknowledged);
    if replay_to_primary {
        assert_eq!(missing, [], "not at the hub; log:\n{}", gateway.log());
    } else {
        let lost: Vec<_> = missing.iter().filter(|(signal, id)| !fallback.copies(*signal).contains_key(id)).collect();
        assert!(lost.is_empty(), "nowhere: {lost:?}");
        let twice: u64 = spillway::batch::Signal::ALL
            .iter()
            .map(|signal| {
                let at_hub = hub.copies(*signal);
                fallback.copies(*signal).keys().filter(|id| at_hub.contains_key(id)).count() as u64
            })
            .sum();
        assert!(twice <= LEASED, "{twice} items at both");
    }
    for account in ["dead", "dropped", "rejected"] {
        assert_eq!(gateway.books(account), 0, "{account}");
    }
}
