//! Scenario: with the hub away the file gives doors and queue other limits, one after the other, and once keys that need a restart.
//! Guarantee: each limit is in force soon, and gone as soon; what needs a restart is named and keeps nothing else back; in the end
//! what the hub does not have was counted as dropped.

use std::time::Duration;

use serde_json::Value;
use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;

use crate::alone;
use crate::support::client::{Client, Transport};
use crate::support::gateway::{Gateway, Home};
use crate::support::hub::Hub;
use crate::support::items;
use crate::support::wait::seconds;

/// By when a change has to be in force: a minute, and another for a machine that has other things to do.
const SOON: Duration = seconds(120);

struct Stage {
    home: Home,
    gateway: Gateway,
    client: Client,
    /// Items that were answered OK; the next number.
    acknowledged: u64,
    next: u64,
}

impl Stage {
    /// Writes other limits into the file: keys of both protocols, of the doors, and of the queue.
    fn limits(&mut self, config: &str, (grpc, http): (&str, &str), doors: &str, queue: &str) {
        self.home.queue = format!("memory_limit: 64MiB, {queue}");
        let text = self.home.whole(config);
        let text = text.replace("grpc: {endpoint: 127.0.0.1:0", &format!("grpc: {{{grpc} endpoint: 127.0.0.1:0"));
        let text = text.replace("http: {endpoint: 127.0.0.1:0}}", &format!("http: {{{http} endpoint: 127.0.0.1:0}}}}"));
        let text = text.replace("otlp: {protocols", &format!("otlp: {{{doors} protocols"));
        std::fs::write(self.home.path().join("spillway.yaml"), text).unwrap();
    }

    /// Sends one log record with so many bytes more.
    async fn send(&mut self, padding: usize) -> Answer {
        let mut request = items::request(Signal::Logs, self.next..self.next + 1);
        items::pad(&mut request, padding);
        self.next += 1;
        let answer = self.client.send_body(Signal::Logs, Encoding::Identity, &request).await;
        self.acknowledged += u64::from(answer == Answer::accepted());
        answer
    }

    /// Sends such records until one is answered like that.
    async fn until(&mut self, what: &str, padding: usize, met: impl Fn(&Answer, &Gateway) -> bool) {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            let answer = self.send(padding).await;
            if met(&answer, &self.gateway) {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "not soon: {what}: {answer:?}\n{}",
                self.gateway.get("/status").1
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn dropped(&self, reason: &str) -> f64 {
        self.gateway.metric("spillway_dropped_items", &[&format!("reason=\"{reason}\"")])
    }
}

const MIB: usize = 1 << 20;
const NONE: (&str, &str) = ("", "");

fn taken(answer: &Answer, _: &Gateway) -> bool {
    *answer == Answer::accepted()
}

fn refused(answer: &Answer, _: &Gateway) -> bool {
    matches!(answer, Answer::Http { status: 503, delay: Some(_), .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_change_while_it_runs() {
    let mut hub = Hub::start().await;
    hub.forget();
    hub.take_away().await;
    let mut home = Home::new();
    home.queue = "memory_limit: 64MiB".to_owned();
    let config = alone("otlp_grpc", &hub.url());
    let gateway = home.start(&config);
    let client = Client::of(Transport::Http, gateway.http);
    let mut stage = Stage { home, gateway, client, acknowledged: 0, next: 0 };

    // Requests, at both doors.
    let limits = ("max_recv_msg_size_mib: 1,", "max_request_body_size: 1MiB,");
    stage.limits(&config, limits, "max_connections: 500,", "");
    let too_large = |answer: &Answer, _: &Gateway| matches!(answer, Answer::Http { status: 413, .. });
    stage.until("a large request is refused", 2 * MIB, too_large).await;
    let over_grpc = Client::of(Transport::Grpc, stage.gateway.grpc);
    let mut large = items::request(Signal::Logs, 0..1);
    items::pad(&mut large, 2 * MIB);
    let answer = over_grpc.send_body(Signal::Logs, Encoding::Identity, &large).await;
    assert!(matches!(answer, Answer::Grpc { code: 8, .. }), "{answer:?}");
    stage.limits(&config, NONE, "", "");
    stage.until("it is taken again", 2 * MIB, taken).await;

    // The quota: smaller than what is there, and large again.
    stage
        .until("there is something to refuse for", 2 * MIB, |_, gateway| {
            gateway.metric("spillway_queue_bytes", &[]) > 50.0 * MIB as f64
        })
        .await;
    stage.limits(&config, NONE, "", "max_size: 40MiB");
    stage.until("the quota is reached", MIB, refused).await;
    let capacity = stage.gateway.metric("spillway_queue_capacity_bytes", &[]);
    assert!(capacity <= 40.0 * MIB as f64, "{capacity}");
    stage.limits(&config, NONE, "", "max_size: 1GiB");
    stage.until("there is room", MIB, taken).await;
    assert_eq!(stage.dropped(""), 0.0);

    // What a full queue does, with keys beside it that have to wait.
    stage.limits(&config, NONE, "", "max_size: 40MiB, when_full: drop_oldest, durability: os");
    let dropping = |_: &Answer, gateway: &Gateway| gateway.metric("spillway_dropped_items", &["queue_full"]) > 0.0;
    stage.until("the oldest is dropped", MIB, dropping).await;
    let status: Value = serde_json::from_str(&stage.gateway.get("/status").1).unwrap();
    assert_eq!(status["reload"]["restart_needed"], serde_json::json!(["queue.durability"]), "{status}");
    assert_eq!(stage.dropped("max_age"), 0.0);

    // Age.
    stage.limits(&config, NONE, "", "max_age: 1s");
    let aging = |_: &Answer, gateway: &Gateway| gateway.metric("spillway_dropped_items", &["max_age"]) > 0.0;
    stage.until("it is too old", 10, aging).await;

    // The log.
    assert!(!stage.gateway.log().contains(" DEBUG "));
    let chatty = format!("{config}telemetry: {{log: debug}}\n");
    stage.limits(&chatty, NONE, "", "");
    stage.until("it says more", 10, |_, gateway| gateway.log().contains(" DEBUG ")).await;

    hub.bring_back().await;
    let Stage { gateway, acknowledged, .. } = stage;
    crate::support::wait::until("everything is settled", SOON, || gateway.books("queued") == 0).await;
    let accepted = gateway.books("accepted");
    assert!(accepted >= acknowledged, "{accepted} of {acknowledged}");
    assert_eq!(hub.distinct() + gateway.books("dropped"), accepted);
    assert_eq!((gateway.books("dead"), gateway.books("rejected")), (0, 0));
    gateway.assert_balanced();
}
