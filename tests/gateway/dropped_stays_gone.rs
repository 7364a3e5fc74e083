//! Scenario: with the hub away more comes than the quota holds, with `drop_oldest`; SIGKILL; the hub is back, and there is room.
//! Guarantee: what was dropped is counted over the kill, item for item what does not arrive, and the oldest there was.

use std::time::{Duration, Instant};

use spillway::batch::Signal;

use crate::alone;
use crate::support::client::{Client, Transport};
use crate::support::gateway::{Gateway, Home};
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};

const PADDING: usize = 1 << 20;

fn dropped(gateway: &Gateway) -> u64 {
    gateway.metric("spillway_dropped_items", &["signal=\"logs\"", "reason=\"queue_full\""]) as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn what_made_room_does_not_come_back() {
    let mut hub = Hub::start().await;
    hub.forget();
    hub.take_away().await;
    let (mut home, config) = (Home::new(), alone("otlp_grpc", &hub.url()));
    home.queue = "max_size: 40MiB, memory_limit: 64MiB, when_full: drop_oldest".to_owned();
    let gateway = home.start(&config);
    let client = Client::of(Transport::Http, gateway.http);
    let (mut taken, mut next) = (Vec::new(), 0);
    let deadline = Instant::now() + seconds(120);
    while dropped(&gateway) <= 10 && Instant::now() < deadline {
        match client.send_padded(Signal::Logs, next..next + 1, PADDING).await {
            true => taken.push(next),
            false => tokio::time::sleep(Duration::from_millis(50)).await, // until the next look at the disk
        }
        next += 1;
    }
    let before = dropped(&gateway);
    assert!(before > 10 && taken.len() as u64 > before, "{before} of {}:\n{}", taken.len(), gateway.log());
    gateway.kill();

    home.queue = "max_size: 4GiB, memory_limit: 64MiB".to_owned();
    let gateway = home.start(&config);
    let gone = dropped(&gateway);
    assert!(gone >= before, "{gone} of {before}");
    gateway.assert_balanced();
    hub.bring_back().await;
    until("everything is settled", seconds(120), || gateway.books("queued") == 0).await;
    assert_eq!((dropped(&gateway), gateway.books("dropped"), gateway.books("dead")), (gone, gone, 0));
    let (arrived, accepted) = (hub.copies(Signal::Logs), gateway.books("accepted"));
    assert_eq!(arrived.len() as u64 + gone, accepted);
    // A request may be taken and its client not be told, when the disk is very slow.
    let untold = accepted - taken.len() as u64;
    let missing: Vec<_> = taken.iter().filter(|id| !arrived.contains_key(id)).copied().collect();
    assert!(missing.len() as u64 <= gone && missing.len() as u64 + untold >= gone, "{gone}: {missing:?}");
    assert_eq!(missing, taken[..missing.len()], "the oldest");
    gateway.assert_balanced();
}
