//! Scenario: a gateway that knows its cluster's name; requests whose resources have none of its attributes, all of them, and another
//! cluster's; over both doors, plain and gzip.
//! Guarantee: each resource arrives with the attributes it lacked and keeps what it had; a request that lacks none is left alone.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;

use crate::alone;
use crate::support::client::{Client, Transport};
use crate::support::gateway::Home;
use crate::support::hub::Hub;
use crate::support::items;
use crate::support::wait::{seconds, until};

const OWN: [(&str, &str); 6] = [
    ("k8s.cluster.name", "aws-eu-west-1-prod-01"),
    ("cloud.region", "eu-west-1"),
    ("k8s.cluster.region", "eu-west-1"),
    ("deployment.environment.name", "prod"),
    ("deployment.environment", "prod"),
    ("team", "payments"),
];

/// A log record under a resource with these attributes.
fn request(attributes: &[(&str, &str)]) -> ExportLogsServiceRequest {
    let attributes = attributes.iter().map(|(key, value)| KeyValue {
        key: (*key).to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue((*value).to_owned())) }),
        ..KeyValue::default()
    });
    let resource = Some(Resource { attributes: attributes.collect(), ..Resource::default() });
    let mut request = ExportLogsServiceRequest::decode(&items::request(Signal::Logs, 1..2)[..]).unwrap();
    let scope_logs = std::mem::take(&mut request.resource_logs[0].scope_logs);
    request.resource_logs = vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }];
    request
}

/// The resources of some requests, with what is in them; several requests may have gone out as one.
fn resources(requests: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let decoded = requests.flat_map(|request| ExportLogsServiceRequest::decode(&request[..]).unwrap().resource_logs);
    let mut resources: Vec<_> = decoded.map(|resource| resource.encode_to_vec()).collect();
    resources.sort();
    resources
}

#[tokio::test(flavor = "multi_thread")]
async fn every_resource_says_whose_it_is() {
    let hub = Hub::start().await;
    let home = Home::new();
    let gateway = home.start(&format!(
        "{}cluster: {{name: aws-eu-west-1-prod-01, region: eu-west-1, environment: prod, attributes: {{team: payments}}}}\n",
        alone("otlp_grpc", &hub.url())
    ));
    let other = [("k8s.cluster.name", "gcp-x-prod-02"), ("service.name", "a"), ("team", "")];
    let kept = [OWN.as_slice(), &[("service.name", "a")]].concat();
    let with = |own: &[(&str, &str)], first: &[(&str, &str)]| request(&[first, own].concat()).encode_to_vec();
    let cases = [
        (request(&[]).encode_to_vec(), with(&OWN, &[])),
        (with(&[], &kept), with(&[], &kept)),
        (with(&[], &other), with(&OWN[1..], &other[..2])),
    ];
    let mut expected = Vec::new();
    for transport in [Transport::Grpc, Transport::Http] {
        let client = Client::of(transport, if transport == Transport::Grpc { gateway.grpc } else { gateway.http });
        for encoding in [Encoding::Identity, Encoding::Gzip] {
            for (sent, arrives) in &cases {
                assert_eq!(client.send_body(Signal::Logs, encoding, sent).await, Answer::accepted());
                expected.push(arrives.clone());
            }
        }
    }
    until("everything has arrived", seconds(60), || gateway.books("queued") == 0).await;
    let arrived = hub.plain().into_iter().map(|(_, plain)| plain);
    assert_eq!(resources(arrived), resources(expected.into_iter()));
    gateway.assert_balanced();
}
