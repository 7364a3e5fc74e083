//! Scenario: the gateway is killed whenever a certain batch reaches the hub, as it would be by a bug that this batch meets.
//! Guarantee: after three more ends that batch is parked, said and counted; all others are delivered, the books balance, and
//! the process lives.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal as Kill, kill_process};
use spillway::batch::{Encoding, Signal};

use crate::sink::{Reply, Sink};
use crate::support::client::{Client, Transport};
use crate::support::gateway::Home;
use crate::support::items;
use crate::support::wait::{seconds, until};
use crate::to;

const ITEMS: u64 = 30;
const FATAL: u64 = 7;
/// What the log says then.
const PARKED: &str = "it is parked, and not tried again by itself";

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_kills_the_process_is_put_aside() {
    let victim = Arc::<Mutex<Option<Pid>>>::default();
    let came = Arc::<Mutex<HashSet<u64>>>::default();
    let sink = Sink::start().await;
    let (pid, seen_items) = (Arc::clone(&victim), Arc::clone(&came));
    sink.answer(move |seen| {
        if !seen.path.ends_with("Service/Export") {
            return Reply::usual(seen);
        }
        let Some(pid) = *pid.lock().unwrap() else { return Reply::http(503) };
        let ids = items::ids(Signal::Logs, seen.message().1);
        if ids.contains(&FATAL) {
            kill_process(pid, Kill::KILL).unwrap();
            return Reply::Hang;
        }
        seen_items.lock().unwrap().extend(ids);
        Reply::accept()
    });

    let home = Home::new();
    let config = to(&sink.url());
    let mut gateway = home.start(&config);
    let client = Client::of(Transport::Http, gateway.http);
    for id in 0..ITEMS {
        let body = items::request(Signal::Logs, id..id + 1);
        client.send_body(Signal::Logs, Encoding::Identity, &body).await;
    }
    let mut ends = 0;
    loop {
        *victim.lock().unwrap() = Some(gateway.pid());
        let mut ended = false;
        until("the next end, or the last batch", seconds(20), || {
            ended = gateway.ended().is_some();
            ended || (came.lock().unwrap().len() as u64 == ITEMS - 1 && gateway.log().contains(PARKED))
        })
        .await;
        if !ended {
            break;
        }
        *victim.lock().unwrap() = None;
        ends += 1;
        assert!(ends <= 4, "it is killed again and again:\n{}", gateway.log());
        gateway = home.start(&config);
    }
    assert_eq!(ends, 4, "once side by side with others, three times alone");
    until("all are settled", seconds(20), || gateway.books("queued") == 1).await;
    assert_eq!(gateway.metric("spillway_queue_parked_items", &["logs"]), 1.0);
    gateway.assert_balanced();
    let client = Client::of(Transport::Grpc, gateway.grpc);
    client.send_body(Signal::Logs, Encoding::Identity, &items::request(Signal::Logs, ITEMS..ITEMS + 1)).await;
    until("what comes later is delivered", seconds(20), || came.lock().unwrap().contains(&ITEMS)).await;
    assert!(gateway.ended().is_none());
}
