//! Scenario: each signal comes in over each transport, plain and in gzip, and goes out over each protocol.
//! Guarantee `bytes-unchanged`: what the hub gets inflates to what the client sent, byte for byte, unknown fields too.

use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;

use crate::support::client::{Client, Transport};
use crate::support::gateway::Home;
use crate::support::hub::Hub;
use crate::support::items;
use crate::support::wait::{seconds, until};

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_inflates_to_what_was_sent() {
    for protocol in ["otlp_grpc", "otlp_http"] {
        let hub = Hub::start().await;
        let home = Home::new();
        // Merging joins requests; here each is looked at on its own.
        let gateway = home.start(&format!(
            "targets: {{hub: {{protocol: {protocol}, endpoint: \"{}\", merge: {{below: 0}}}}}}\nchain: {{primary: hub}}\n",
            hub.url()
        ));
        let mut sent = Vec::new();
        for transport in [Transport::Grpc, Transport::Http] {
            let address = if transport == Transport::Grpc { gateway.grpc } else { gateway.http };
            let client = Client::of(transport, address);
            for signal in Signal::ALL {
                for encoding in [Encoding::Identity, Encoding::Gzip] {
                    let first = sent.len() as u64 * 1000;
                    let mut body = items::request(signal, first..first + 100);
                    // A field that no version of the protocol knows: number 1000, a length-delimited "kept".
                    body.extend_from_slice(&[0xc2, 0x3e, 4]);
                    body.extend_from_slice(b"kept");
                    assert_eq!(client.send_body(signal, encoding, &body).await, Answer::accepted());
                    sent.push((signal, body));
                }
            }
        }
        until("everything at the hub", seconds(20), || hub.plain().len() == sent.len()).await;
        let mut arrived = hub.plain();
        arrived.sort();
        sent.sort();
        assert!(arrived == sent, "over {protocol} the bytes differ");
        until("the books are closed", seconds(5), || gateway.books("queued") == 0).await;
        gateway.assert_balanced();
    }
}
