//! Scenario: a hub refuses one batch for good; SIGKILL while it is dead, and again after it was sent again by hand.
//! Guarantee: it stays dead and counted, with its story, and does not come back by itself; sent again it arrives once.

use spillway::batch::Signal;

use crate::support::client::{Client, Transport};
use crate::support::gateway::Home;
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};
use crate::{alone, spillway};

const BAD: u64 = 666;

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_outlives_the_process() {
    let hub = Hub::start().await;
    hub.detests(Signal::Logs, BAD);
    let (home, config) = (Home::new(), alone("otlp_http", &hub.url()));
    let gateway = home.start(&config);
    let client = Client::of(Transport::Grpc, gateway.grpc);
    assert!(client.send(Signal::Logs, BAD..BAD + 1).await);
    let mut good = 1000;
    while gateway.books("dead") == 0 {
        assert!(good < 2000, "it does not die:\n{}", gateway.log());
        assert!(client.send(Signal::Logs, good..good + 1).await, "a witness");
        good += 1;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    gateway.kill();

    let gateway = home.start(&config);
    assert_eq!((gateway.books("dead"), gateway.metric("spillway_dead_items", &["refused"])), (1, 1.0));
    let listed = spillway(&home, "dead ls --json");
    assert!(listed.lines().count() == 1 && listed.contains("\"refused\"") && listed.contains("HTTP 400"), "{listed}");
    hub.forgives();
    let client = Client::of(Transport::Grpc, gateway.grpc);
    assert!(client.send(Signal::Logs, good..good + 10).await);
    until("what came later has arrived", seconds(60), || gateway.books("queued") == 0).await;
    assert!(!hub.copies(Signal::Logs).contains_key(&BAD), "it came back by itself");
    gateway.assert_balanced();

    spillway(&home, "dead replay --all");
    until("it arrives", seconds(60), || gateway.books("queued") == 0).await;
    gateway.kill();
    let gateway = home.start(&config);
    assert_eq!(spillway(&home, "dead ls --json"), "");
    until("nothing is left", seconds(60), || gateway.books("queued") == 0).await;
    assert_eq!((hub.copies(Signal::Logs)[&BAD], gateway.books("dead"), gateway.books("dropped")), (1, 0, 0));
    assert_eq!(hub.distinct(), good - 1000 + 10 + 1);
    gateway.assert_balanced();
}
