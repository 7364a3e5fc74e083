//! Scenario: with the hub away more comes than the quota holds, with `drop_oldest`; SIGKILL; the hub is back, and there is room.
//! Guarantee: what was dropped is counted over the kill, item for item what does not arrive, and the oldest there was.

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
    let mut taken = Vec::new();
    for id in 0..2000 {
        if client.send_padded(Signal::Logs, id..id + 1, PADDING).await {
            taken.push(id);
        }
        if dropped(&gateway) > 10 {
            break;
        }
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
    assert!(
        hub.copies(Signal::Logs).keys().eq(&taken[gone as usize..]),
        "{gone} of {}: {:?}",
        taken.len(),
        hub.copies(Signal::Logs).keys().collect::<Vec<_>>()
    );
    assert_eq!(gateway.books("accepted"), taken.len() as u64);
    gateway.assert_balanced();
}
