//! Scenario: during an outage more arrives than the quota holds, with `drop_oldest`, and traces may grow a few seconds old; SIGKILL
//! again and again while batches are removed. Guarantee: the intake never closes for long, the books balance after each start, and
//! in the end each acknowledged item is at the hub or counted as dropped for one of these two reasons, the newest at the hub.

use std::time::Duration;

use rand::RngExt;
use spillway::batch::Signal;

use crate::inject;
use crate::support::client::{Client, Load, Transport};
use crate::support::gateway::{Gateway, Home};
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};
use crate::{count, to};

const PADDING: usize = 48 << 10;

fn dropped(gateway: &Gateway, signal: &str, reason: &str) -> u64 {
    let labels = [format!("signal=\"{signal}\""), format!("reason=\"{reason}\"")];
    gateway.metric("spillway_dropped_items", &[&labels[0], &labels[1]]) as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_is_counted_whenever_it_dies() {
    let mut random = inject::seeded();
    let mut hub = Hub::start().await;
    hub.forget();
    hub.take_away().await;
    let config = to(&hub.url());
    let mut home = Home::new();
    home.queue =
        "max_size: 40MiB, memory_limit: 64MiB, when_full: drop_oldest, signals: {traces: {max_age: 2s}}".to_owned();
    let mut gateway = home.start(&config);
    let load = Load::padded(gateway.grpc, gateway.http, 5, Duration::from_millis(5), PADDING);
    for _ in 0..count(5, 200) {
        let before =
            [("traces", "max_age"), ("logs", "queue_full")].map(|(signal, reason)| dropped(&gateway, signal, reason));
        until("both kinds of batches are dropped", seconds(120), || {
            dropped(&gateway, "traces", "max_age") > before[0] && dropped(&gateway, "logs", "queue_full") > before[1]
        })
        .await;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..300))).await;
        gateway.kill();
        gateway = home.start(&config);
        load.move_to(gateway.grpc, gateway.http);
        gateway.assert_balanced();
    }
    let acknowledged = load.stop().await;
    let last = 1 << 60..(1 << 60) + 1;
    let client = Client::of(Transport::Grpc, gateway.grpc);
    until("the intake is open", seconds(20), || gateway.metric("spillway_queue_refusing", &[]) == 0.0).await;
    assert!(client.send(Signal::Logs, last.clone()).await);
    hub.bring_back().await;
    until("everything is settled", seconds(120), || gateway.books("queued") == 0).await;
    gateway.assert_balanced();
    assert!(hub.copies(Signal::Logs).contains_key(&last.start), "the newest was dropped");
    let missing = hub.missing(&acknowledged).len() as u64;
    let of_age = dropped(&gateway, "traces", "max_age");
    let all = ["traces", "metrics", "logs"].map(|signal| dropped(&gateway, signal, "queue_full"));
    eprintln!("{missing} missing; dropped {all:?} for the space, {of_age} traces for their age");
    assert!(missing <= all.iter().sum::<u64>() + of_age);
    assert_eq!(gateway.books("dropped"), all.iter().sum::<u64>() + of_age, "another reason");
    for account in ["dead", "rejected"] {
        assert_eq!(gateway.books(account), 0, "{account}");
    }
}
