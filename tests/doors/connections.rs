//! Scenario: connections come of age, doors are stopped, addresses are taken or of another family.
//! Guarantee: what was begun is answered, and the end is orderly; a door that cannot be bound says which and why.

use std::time::Duration;

use spillway::batch::{Encoding, Signal};
use spillway::receive::Doors;
use tokio::net::TcpStream;

use crate::support::gateway::config;
use crate::support::grpc::framed;
use crate::support::samples::request;
use crate::support::{Gateway, eventually, grpc, http};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

/// A connection older than `max_connection_age`, with a request in progress.
/// Guarantees that the request is answered, and that the connection ends with GOAWAY and no error.
#[tokio::test]
async fn a_connection_of_age_is_renewed() {
    let mut config = config();
    config.grpc.as_mut().unwrap().max_connection_age = Duration::from_secs(2);
    let gateway = Gateway::start_with(config).await;
    let grpc = gateway.grpc().await;
    let message = framed(0, &request(Signal::Logs, 1, 0));
    let (response, mut stream) = grpc.begin(Signal::Logs, &message[..3]).await;
    eventually("GOAWAY has come", || {
        // A client that was told to go refuses to begin anew.
        let mut send = std::pin::pin!(grpc.call("/", &[], &[]));
        let waker = std::task::Waker::noop();
        matches!(send.as_mut().poll(&mut std::task::Context::from_waker(waker)), std::task::Poll::Ready(Err(_)))
    })
    .await;
    stream.send_data(message[3..].to_vec().into(), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    while let Some(chunk) = body.data().await {
        body.flow_control().release_capacity(chunk.unwrap().len()).unwrap();
    }
    assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    drop((body, stream));
    let ended = tokio::time::timeout(Duration::from_secs(60), grpc.connection).await;
    ended.expect("the connection ends").unwrap().unwrap();
    assert_eq!(gateway.stored(Signal::Logs).await.items, 1);
}

/// Requests one after the other on an HTTP/1.1 connection, until it is older than `max_connection_age`; and on a young one.
/// Guarantees that all are answered, the last one with `Connection: close`, and the end after that; the young one goes on.
#[tokio::test]
async fn an_http1_connection_of_age_is_renewed_by_an_answer() {
    let (gateway, mut config) = (Gateway::start().await, config());
    config.http.as_mut().unwrap().max_connection_age = Duration::from_secs(1);
    let old = Gateway::start_with(config).await;
    let (mut young, mut http) = (gateway.http().await, old.http().await);
    let body = request(Signal::Logs, 1, 0);
    let since = std::time::Instant::now();
    let mut requests = 0;
    loop {
        let answer = http.post("/v1/logs", &[PROTOBUF], &body).await;
        assert_eq!(answer.status, 200);
        requests += 1;
        if answer.header("connection") == "close" {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "{requests} requests on one connection");
        let answer = young.post("/v1/logs", &[PROTOBUF], &body).await;
        assert_eq!((answer.status, answer.header("connection")), (200, ""));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(since.elapsed() >= Duration::from_millis(900), "before its time");
    assert!(http.ended().await);
}

/// A stop while requests are in progress at both doors, and connections are idle.
/// Guarantees that new connections are refused, that what was begun is answered OK, and that serving ends then.
#[tokio::test]
async fn a_stop_lets_requests_in_progress_end() {
    let gateway = Gateway::start().await;
    let (_idle_grpc, _idle_http) = (gateway.grpc().await, gateway.http().await);
    let message = request(Signal::Logs, 3, 0);
    let (grpc, mut http) = (gateway.grpc().await, gateway.http().await);
    let (response, mut stream) = grpc.begin(Signal::Logs, &framed(0, &message)[..10]).await;
    http.head("POST", "/v1/logs", &[PROTOBUF, ("content-length", &message.len().to_string())]).await;
    http.send(&message[..10]).await;
    eventually("both are being read", || gateway.stats.snapshot().inflight_bytes > 0).await;
    eventually("all four are connected", || gateway.stats.snapshot().connections == 4).await;

    gateway.stop.send_replace(true);
    eventually("the idle ones are gone", || gateway.stats.snapshot().connections == 2).await;
    for door in [gateway.grpc, gateway.http] {
        assert!(TcpStream::connect(door).await.is_err());
    }
    stream.send_data(framed(0, &message)[10..].to_vec().into(), true).unwrap();
    http.send(&message[10..]).await;
    assert_eq!(http.answer().await.status, 200);
    assert_eq!(response.await.unwrap().status(), 200);
    let (_, gateway) = (gateway.stored(Signal::Logs).await, gateway);
    assert_eq!(gateway.stored(Signal::Logs).await.items, 3);
    tokio::time::timeout(Duration::from_secs(60), gateway.serving).await.expect("serving ends").unwrap();
}

/// A door on an address that is taken, that does not exist, or that is none.
/// Guarantees an error that names the key, the endpoint and the remedy.
#[tokio::test]
async fn a_door_that_cannot_be_bound_says_which_and_why() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = taken.local_addr().unwrap().to_string();
    for (endpoint, said) in [(in_use.as_str(), "in use"), ("192.0.2.1:4317", "no such address"), ("4317", "host:port")]
    {
        let mut config = config();
        config.grpc.as_mut().unwrap().endpoint = endpoint.to_owned();
        let error = Doors::bind(&config).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("receivers.otlp.protocols.grpc.endpoint") && text.contains(endpoint), "{text}");
        assert!(text.contains(said), "{text}");
    }
}

/// Doors on IPv6, and on a name.
/// Guarantees that they serve like any other.
#[tokio::test]
async fn doors_open_on_ipv6_and_on_names() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        crate::skip::aloud("doors on IPv6 (this machine has none)");
        return;
    }
    let mut config = config();
    config.grpc.as_mut().unwrap().endpoint = "[::1]:0".to_owned();
    config.http.as_mut().unwrap().endpoint = "localhost:0".to_owned();
    let gateway = Gateway::start_with(config).await;
    assert!(gateway.grpc.is_ipv6());
    let body = request(Signal::Logs, 1, 0);
    let grpc = grpc::Client::connect(gateway.grpc).await;
    assert!(grpc.export(Signal::Logs, Encoding::Identity, &body).await.is_full_success());
    let mut http = http::Client::connect(gateway.http).await;
    assert_eq!(http.post("/v1/logs", &[PROTOBUF], &body).await.status, 200);
}

/// Doors on `[::]`, which stands for all addresses of the machine.
/// Guarantees that they are reached by IPv4 and by IPv6.
#[tokio::test]
async fn all_addresses_are_those_of_both_families() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        crate::skip::aloud("doors on all addresses (this machine has no IPv6)");
        return;
    }
    let mut config = config();
    config.grpc.as_mut().unwrap().endpoint = "[::]:0".to_owned();
    config.http.as_mut().unwrap().endpoint = "[::]:0".to_owned();
    let gateway = Gateway::start_with(config).await;
    let body = request(Signal::Logs, 1, 0);
    for address in ["127.0.0.1", "::1"] {
        let address: std::net::IpAddr = address.parse().unwrap();
        let grpc = grpc::Client::connect((address, gateway.grpc.port()).into()).await;
        assert!(grpc.export(Signal::Logs, Encoding::Identity, &body).await.is_full_success());
        let mut http = http::Client::connect((address, gateway.http.port()).into()).await;
        assert_eq!(http.post("/v1/logs", &[PROTOBUF], &body).await.status, 200);
    }
}
