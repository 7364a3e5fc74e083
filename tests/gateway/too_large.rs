//! Scenario: a request of 20 MiB, for a hub that takes 4 MiB, and a single item that is larger.
//! Guarantee: every item of the first arrives once, in requests of at most 4 MiB; the item is a dead letter, alone.

use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;

use crate::support::client::{Client, Transport};
use crate::support::gateway::Home;
use crate::support::hub::Hub;
use crate::support::items;
use crate::support::wait::{seconds, until};

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_megabytes_arrive_over_grpc() {
    arrive("otlp_grpc", Encoding::Gzip).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_megabytes_arrive_over_http() {
    arrive("otlp_http", Encoding::Identity).await;
}

async fn arrive(protocol: &str, encoding: Encoding) {
    let hub = Hub::start().await;
    hub.takes_at_most(4 * MIB);
    let home = Home::new();
    let gateway = home.start(&format!(
        "targets: {{hub: {{protocol: {protocol}, endpoint: \"{}\"}}}}\nchain: {{primary: hub}}\n",
        hub.url()
    ));
    let client = Client::patient(Transport::Http, gateway.http, 60);
    let (mut sent, mut repeated) = (0, false);
    for signal in Signal::ALL {
        let one = items::request(signal, 1_000_000..1_001_000).len() / 1000;
        let items = (20 * MIB / one) as u64;
        let plain = items::request(signal, 1_000_000..1_000_000 + items);
        assert!(plain.len() > 19 * MIB && plain.len() < 24 * MIB, "{}", plain.len());
        // A door says that it may be late when the disk is; it may have the request all the same.
        let late = |answer: &Answer| matches!(answer, Answer::Http { status: 503, delay: Some(_), .. });
        let mut answer = client.send_body(signal, encoding, &plain).await;
        for _ in 0..20 {
            if late(&answer) {
                repeated = true;
                answer = client.send_body(signal, encoding, &plain).await;
            }
        }
        assert_eq!(answer, Answer::accepted());
        sent += items;
    }
    until("everything has arrived", seconds(60), || gateway.books("queued") == 0).await;
    assert_eq!(hub.distinct(), sent);
    if !repeated {
        assert_eq!((hub.duplicates(), gateway.books("delivered")), (0, sent));
    }
    let largest = hub.plain().iter().map(|(_, plain)| plain.len()).max().unwrap();
    assert!(largest > MIB && largest <= 4 * MIB, "{largest}");
    // What was learned holds for each signal: a handful of refusals, then parts only.
    assert!(hub.refused() <= 18, "{}", hub.refused());
    gateway.assert_balanced();
}
