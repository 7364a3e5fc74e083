//! Scenario: connections are renewed several times a second while clients send without pause.
//! Guarantee: no request fails: what came before the GOAWAY is answered, and what nobody looked at goes over the next connection, as its client is told.

use crate::NOWHERE;
use crate::honest::Honest;
use crate::support::gateway::Home;

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_costs_no_request() {
    let mut home = Home::new();
    home.grpc = "max_connection_age: 200ms".to_owned();
    let gateway = home.start(NOWHERE);
    let honest = Honest::start(&gateway).await;
    honest.go_on(400).await;
    honest.stop().await;
}
