//! Scenario: requests that come in gzip are tagged; the hub takes zstd, says so and refuses it all the same, or its configuration is
//! changed to say so while data comes; the gateway is started anew with that, and with traces that go elsewhere.
//! Guarantee: they go out in zstd where that is taken, in gzip before it is known to be, and arrive tagged in any case.

use std::fs;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message;
use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;
use spillway::otlp::inflate::Inflater;

use crate::PACE;
use crate::sink::{Reply, Seen, Sink};
use crate::support::client::{Client, Transport};
use crate::support::gateway::{Gateway, Home};
use crate::support::items;
use crate::support::wait::{seconds, until};

const CLUSTER: &str = "aws-eu-west-1-prod-01";

fn config(hub: &Sink, accepts: &str) -> String {
    let url = hub.url();
    format!(
        "cluster: {{name: {CLUSTER}}}\n\
         targets:\n  hub: {{protocol: otlp_http, endpoint: \"{url}\", accepts: {accepts}, {PACE}}}\n"
    )
}

async fn send(gateway: &Gateway, id: u64) {
    let client = Client::of(Transport::Grpc, gateway.grpc);
    let body = items::request(Signal::Logs, id..id + 1);
    assert_eq!(client.send_body(Signal::Logs, Encoding::Gzip, &body).await, Answer::accepted());
}

/// The encodings in which each request with this item came, having looked into it.
fn encodings(hub: &Sink, id: u64) -> Vec<String> {
    let exports = hub.seen().into_iter().filter(|seen| seen.path == Signal::Logs.http_path() && !seen.body.is_empty());
    let of_item = exports.filter(|seen| items::ids(Signal::Logs, &plain(seen)) == [id]);
    of_item.map(|seen| seen.header("content-encoding").to_owned()).collect()
}

fn plain(seen: &Seen) -> Vec<u8> {
    let encoding = Encoding::from_wire(seen.header("content-encoding")).unwrap();
    let plain = Inflater::new().inflate(encoding, &seen.body, 1 << 20).unwrap().bytes.to_vec();
    for logs in ExportLogsServiceRequest::decode(&plain[..]).unwrap().resource_logs {
        let attributes = logs.resource.unwrap_or_default().attributes;
        assert!(attributes.iter().any(|pair| pair.key == "k8s.cluster.name"), "not tagged");
    }
    plain
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tagged_goes_as_its_targets_take_it() {
    let hub = Sink::start().await;
    let home = Home::new();
    let gateway = home.start(&config(&hub, "[gzip]"));
    send(&gateway, 1).await;
    until("the first has come", seconds(60), || encodings(&hub, 1) == ["gzip"]).await;

    fs::write(home.path().join("spillway.yaml"), home.whole(&config(&hub, "[gzip, zstd]"))).unwrap();
    gateway.signal(rustix::process::Signal::HUP);
    until("zstd is allowed", seconds(60), || gateway.log().contains("is in force")).await;
    send(&gateway, 2).await;
    until("the second has come", seconds(60), || encodings(&hub, 2) == ["zstd"]).await;

    hub.answer(|seen| if seen.header("content-encoding") == "zstd" { Reply::http(415) } else { Reply::usual(seen) });
    send(&gateway, 3).await;
    until("the third has come", seconds(60), || encodings(&hub, 3) == ["zstd", ""]).await;
    send(&gateway, 4).await;
    until("the fourth has come", seconds(60), || encodings(&hub, 4) == ["gzip"]).await;
    until("all is settled", seconds(60), || gateway.books("queued") == 0).await;
    assert_eq!(gateway.books("delivered"), 4);
    gateway.assert_balanced();

    // What was learned of the hub went with the process, what is configured did not.
    gateway.stop();
    hub.answer(Reply::usual);
    let (both, other) = (config(&hub, "[gzip, zstd]"), hub.url());
    let gateway = home.start(&format!(
        "{both}  other: {{protocol: otlp_http, endpoint: \"{other}\"}}\n\
         chain: {{primary: hub, signals: {{traces: {{primary: other}}}}}}\n"
    ));
    send(&gateway, 5).await;
    until("the fifth has come", seconds(60), || encodings(&hub, 5) == ["zstd"]).await;
}
