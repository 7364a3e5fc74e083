//! Scenario: SIGKILL again and again under load, three signals over both transports, with the hub away part of the time.
//! Guarantee `books-balance`: after each start the books balance, and in the end each acknowledged item has arrived.
//!
//! `SPILLWAY_KILLS=200` asks for that many; `SPILLWAY_FAULTS_SEED`, which is printed, for the same moments again.

use std::env;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::chain;
use crate::support::client::Load;
use crate::support::gateway::Home;
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_missing() {
    let usual = if env::var_os("SPILLWAY_TEST_COUNTS").is_some() { 10_000 } else { 20 };
    let (kills, seed) = (number("SPILLWAY_KILLS", usual), number("SPILLWAY_FAULTS_SEED", 2026));
    eprintln!("SPILLWAY_KILLS={kills} SPILLWAY_FAULTS_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut hub, fallback) = (Hub::start().await, Hub::start().await);
    let config = chain("otlp_grpc", &hub.url(), &fallback.url(), true);
    let home = Home::new();
    let mut gateway = home.start(&config);
    let load = Load::start(gateway.grpc, gateway.http, 20, Duration::from_millis(2));
    for kill in 0..kills {
        if kill % 5 == 2 {
            hub.take_away().await;
        }
        if kill % 5 == 4 {
            hub.bring_back().await;
        }
        let before = load.acknowledged();
        until("acknowledged items", seconds(20), || load.acknowledged() > before).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..400))).await;
        gateway.kill();
        gateway = home.start(&config);
        load.move_to(gateway.grpc, gateway.http);
        gateway.assert_balanced();
    }
    hub.bring_back().await;
    let acknowledged = load.stop().await;
    until("everything is settled", seconds(60), || gateway.books("queued") == 0).await;
    gateway.assert_balanced();
    assert_eq!(
        hub.missing(&acknowledged),
        [],
        "of {} items",
        acknowledged.values().map(|ids| ids.len()).sum::<usize>()
    );
    for account in ["dead", "dropped", "rejected"] {
        assert_eq!(gateway.books(account), 0, "{account}");
    }
}

/// A number from the environment.
fn number(variable: &str, usual: u64) -> u64 {
    env::var(variable).map_or(usual, |text| text.parse().unwrap())
}
