//! Scenario: applications with the SDKs of Python, JavaScript, Java and Go send in rounds, each over its default protocol; the hub is
//! away in every other round, and after the last one the gateway is killed.
//! Guarantee: each item whose export the SDK called a success arrives at the hub, and most of them are, whether it is away or not.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;
use spillway::batch::Signal;

use crate::gateway::{Gateway, Home};
use crate::hub::Hub;
use crate::wait::{seconds, until};
use crate::{items, tools};

/// Items of each signal in a round. The SDKs hold 2048 between two flushes.
const ROUND: usize = 500;

#[tokio::test]
async fn python_over_http() {
    if let Some(python) = tools::python() {
        outages("python", python_client(&python, "http"), |gateway| gateway.http).await;
    }
}

#[tokio::test]
async fn python_over_grpc() {
    if let Some(python) = tools::python() {
        outages("python", python_client(&python, "grpc"), |gateway| gateway.grpc).await;
    }
}

#[tokio::test]
async fn javascript_over_http() {
    if let Some(client) = tools::client("javascript") {
        outages("javascript", Command::new(client), |gateway| gateway.http).await;
    }
}

#[tokio::test]
async fn java_over_grpc() {
    if let Some(client) = tools::client("java") {
        outages("java", Command::new(client), |gateway| gateway.grpc).await;
    }
}

#[tokio::test]
async fn go_over_http() {
    if let Some(programs) = tools::programs() {
        outages("go", Command::new(programs.join("sdk")), |gateway| gateway.http).await;
    }
}

fn python_client(python: &Path, protocol: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/python/client.py"));
    command.args(["--protocol", protocol]);
    command
}

async fn outages(producer: &str, client: Command, door: fn(&Gateway) -> SocketAddr) {
    let mut hub = Hub::start().await;
    let home = Home::new();
    let config = format!(
        "targets: {{hub: {{protocol: otlp_grpc, endpoint: \"{}\", health: {{interval: 1s}}, \
         breaker: {{open_for: 200ms, max_open_for: 1s, ramp: 1s}}}}}}\nchain: {{primary: hub}}\n",
        hub.url()
    );
    let gateway = home.start(&config);
    let mut client = Client::start(client, door(&gateway), producer);
    for round in 1..=4 {
        client = tokio::task::spawn_blocking(|| client.round()).await.unwrap();
        if round % 2 == 1 {
            until("the round arrives", seconds(60), || gateway.books("queued") == 0).await;
            hub.take_away().await;
        } else {
            assert!(gateway.books("queued") > 0, "the hub was to be away");
            if round < 4 {
                hub.bring_back().await;
            }
        }
    }
    let told = client.report();
    gateway.kill();
    let gateway = home.start(&config);
    hub.bring_back().await;
    until("everything arrives", seconds(60), || gateway.books("queued") == 0).await;
    gateway.assert_balanced();

    for signal in Signal::ALL {
        let outcome = &told[signal.as_str()];
        let succeeded: Vec<_> = outcome["ok"].as_array().unwrap().iter().map(items::number).collect();
        // All of them, but where the machine stalls for longer than an SDK waits.
        assert!(succeeded.len() > 2 * ROUND, "{signal}: {} {}", outcome["failed"], outcome["unsent"]);
        let arrived = hub.copies(signal);
        let missing: Vec<_> = succeeded.iter().filter(|id| !arrived.contains_key(id)).collect();
        assert!(missing.is_empty(), "{} of {}: {:?}", missing.len(), succeeded.len(), missing[0]);
    }
}

/// An application that sends a round each time that it is told to. Killed when dropped.
struct Client {
    child: Child,
    says: Receiver<String>,
}

impl Client {
    fn start(mut command: Command, door: SocketAddr, producer: &str) -> Client {
        command.args(["--endpoint", &format!("http://{door}"), "--producer", producer]);
        command.args(["--count", &ROUND.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (said, says) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| said.send(line)));
        Client { child, says }
    }

    /// Its next line, for which an SDK that hangs is given ten times what it takes.
    fn line(&self) -> String {
        self.says.recv_timeout(seconds(120)).expect("the client has ended, or hangs")
    }

    /// Sends a round, and waits for the end of its exports.
    fn round(mut self) -> Client {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        assert_eq!(self.line(), "flushed");
        self
    }

    /// Ends it; what it was told of each item.
    fn report(mut self) -> Value {
        drop(self.child.stdin.take());
        serde_json::from_str(&self.line()).unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
