//! Scenario: a gateway with a hub and a fallback gets orders over socket and admin port, and is killed with SIGKILL in between.
//! Guarantee: each order does what it says and is told everywhere; pin and pause outlive the process; over the port nothing is
//! ordered without the token; in the end the hub has everything.

use std::collections::{BTreeSet, HashMap};
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use spillway::batch::Signal;

use crate::support::client::{Client, Transport};
use crate::support::gateway::{Gateway, Home};
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};
use crate::{command, spillway};

fn config(hub: &Hub, fallback: &Hub, min_stay: &str) -> String {
    let target = |url: String| {
        format!(
            "{{protocol: otlp_http, endpoint: \"{url}\", health: {{interval: 300ms, timeout: 2s}}, \
             retry: {{initial_interval: 100ms, max_interval: 500ms}}, \
             breaker: {{open_for: 300ms, max_open_for: 500ms, ramp: 1s}}}}"
        )
    };
    format!(
        "targets: {{hub: {}, direct: {}}}\nchain: {{primary: hub, fallback: [direct], failover_after: 2s, min_stay: {min_stay}}}\n",
        target(hub.url()),
        target(fallback.url())
    )
}

fn status(gateway: &Gateway) -> Value {
    serde_json::from_str(&gateway.get("/status").1).unwrap()
}

/// Sends one request of ten items of each signal.
async fn send(gateway: &Gateway, sent: &mut HashMap<Signal, BTreeSet<u64>>) {
    let client = Client::of(Transport::Grpc, gateway.grpc);
    for signal in Signal::ALL {
        let ids = sent.entry(signal).or_default();
        let next = ids.len() as u64;
        assert!(client.send(signal, next..next + 10).await, "the doors take data whatever is ordered");
        ids.extend(next..next + 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_obeyed_and_outlive_the_process() {
    let (hub, fallback) = (Hub::start().await, Hub::start().await);
    let (home, config) = (Home::new(), config(&hub, &fallback, "10m"));
    let mut sent = HashMap::new();

    let gateway = home.start(&config);
    let said = spillway(&home, "pin direct").fine();
    assert_eq!(said.out, "traffic is pinned to direct\n");
    send(&gateway, &mut sent).await;
    until("the fallback has it", seconds(30), || fallback.distinct() == 30).await;
    gateway.kill();

    let gateway = home.start(&config);
    let pinned = status(&gateway);
    assert_eq!(pinned["by_hand"]["pinned"]["target"], "direct");
    send(&gateway, &mut sent).await;
    until("the pin holds after a kill", seconds(30), || fallback.distinct() == 60).await;
    assert_eq!(hub.distinct(), 0);
    assert_eq!(gateway.metric("spillway_pinned_target", &["direct"]), 1.0);
    assert_eq!(gateway.metric("spillway_pinned_target", &[]), 1.0);
    let why = status(&gateway)["headline"]["why"].as_str().unwrap().to_owned();
    assert!(why.ends_with("pinned to direct by hand"), "{why}");

    let said = spillway(&home, "pause --json").fine().json();
    assert!(
        said["what"].is_string() && said["paused_since_ms"].is_u64() && said["pinned"]["target"] == "direct",
        "{said}"
    );
    spillway(&home, "unpin").fine();
    send(&gateway, &mut sent).await;
    gateway.kill();

    let gateway = home.start(&config);
    send(&gateway, &mut sent).await;
    until("it says that it is paused", seconds(30), || status(&gateway)["headline"]["state"] == "paused").await;
    assert_eq!(gateway.metric("spillway_delivery_paused", &[]), 1.0);
    assert!(status(&gateway)["by_hand"]["pinned"].is_null());
    // Whatever was to go out would have gone while the probes went by.
    let probed = || status(&gateway)["timeline"].to_string().contains("hub: up");
    until("the hub is probed", seconds(30), probed).await;
    assert_eq!((hub.distinct(), fallback.distinct(), gateway.books("queued")), (0, 60, 120));

    spillway(&home, "resume").fine();
    until("the hub has everything", seconds(60), || gateway.books("queued") == 0).await;
    assert_eq!(hub.missing(&sent), []);
    gateway.assert_balanced();
    let log = gateway.log();
    for line in ["by hand: traffic is pinned to direct", "by hand: delivery is paused", "by hand: delivery goes on"] {
        assert!(log.contains(line), "{line} is not in the log:\n{log}");
    }
    assert!(status(&gateway)["timeline"].to_string().contains("by hand: delivery goes on"));
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_and_breakers_are_moved_by_hand() {
    let (hub, fallback) = (Hub::start().await, Hub::start().await);
    let home = Home::new();
    let gateway = home.start(&config(&hub, &fallback, "10m"));
    let mut sent = HashMap::new();
    let active =
        |target: &str| Signal::ALL.iter().all(|signal| status(&gateway)["chains"][signal.as_str()]["active"] == target);
    spillway(&home, "fail-over").fine();
    assert!(active("direct"), "at once");
    assert_eq!(gateway.metric("spillway_failovers_total", &["command", "to=\"direct\""]), 3.0);
    spillway(&home, "fail-back").fine();
    assert!(active("hub"), "at once");

    spillway(&home, "open hub").fine();
    until("traffic leaves", seconds(30), || active("direct")).await;
    assert_eq!(gateway.metric("spillway_breaker_state", &["hub", "forced_open"]), 1.0);
    send(&gateway, &mut sent).await;
    until("the fallback has it", seconds(30), || fallback.distinct() == 30).await;
    assert_eq!(hub.distinct(), 0);
    spillway(&home, "close hub").fine();
    assert_eq!(status(&gateway)["targets"][0]["breaker"], "forced_closed");
    spillway(&home, "auto hub").fine();
    // It has to prove itself; the shortest stay it need not wait for.
    until("the hub can be gone back to", seconds(60), || spillway(&home, "fail-back").code == 0).await;
    until("the hub is paid", seconds(60), || gateway.books("queued") == 0).await;
    assert_eq!(hub.missing(&sent), []);

    let wrong = spillway(&home, "pin hug");
    assert!(wrong.code == 64 && wrong.err.contains("no chain has a target \"hug\"; there is hub, direct"), "{wrong}");
    let now = spillway(&home, "fail-back");
    assert!(now.code == 1 && now.err.contains("no chain has a primary to go back to"), "{now}");
    gateway.kill();
    let gone = spillway(&home, "pause");
    assert!(gone.code == 69 && gone.err.contains("no gateway answers"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_port_the_token_is_asked_for() {
    let (hub, fallback) = (Hub::start().await, Hub::start().await);
    let mut home = Home::new();
    let order = json!({"command": "pin", "target": "direct"}).to_string();
    let gateway = home.start(&config(&hub, &fallback, "10m"));
    assert_eq!(post(&gateway, None, &order).0, 403, "no token is configured");
    drop(gateway);

    home.guard("s3cret");
    let gateway = home.start(&config(&hub, &fallback, "10m"));
    assert_eq!(post(&gateway, None, &order).0, 401);
    assert_eq!(post(&gateway, Some("wrong"), &order).0, 401);
    assert!(status(&gateway)["by_hand"]["pinned"].is_null());
    let (code, answer) = post(&gateway, Some("s3cret"), &order);
    assert!(code == 200 && answer.contains("traffic is pinned to direct"), "{answer}");
    assert_eq!(status(&gateway)["by_hand"]["pinned"]["target"], "direct");
    for (wrong, code) in
        [("{\"command\": \"pin\"}", 400), ("{\"command\": \"fail-over\"}", 409), ("{\"command\": \"x\"}", 400)]
    {
        assert_eq!(post(&gateway, Some("s3cret"), wrong).0, code, "{wrong}");
    }
    // The socket needs none.
    assert!(command(&home, "unpin").status().unwrap().success());
}

/// A POST of an order to the admin port: status code and body.
fn post(gateway: &Gateway, token: Option<&str>, order: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(gateway.admin).unwrap();
    stream.set_read_timeout(Some(seconds(30))).unwrap();
    let token = token.map_or(String::new(), |token| format!("authorization: Bearer {token}\r\n"));
    let head = format!("POST /commands/delivery HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{token}", gateway.admin);
    write!(stream, "{head}content-length: {}\r\n\r\n{order}", order.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
