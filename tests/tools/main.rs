//! The command line on a queue: beside a running gateway and offline. The real binary, a real store, real sockets.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![allow(dead_code, reason = "the support is shared with other suites, which use more of it")]

mod by_hand;
mod confirmation;
mod dead_letters;
mod drain;
mod export_and_replay;
mod interrupted_replay;
mod looks;
#[path = "../support/sink.rs"]
mod sink;
#[path = "../support/skip.rs"]
mod skip;
mod status;
mod store;
#[path = "../support/mod.rs"]
mod support;
mod terminal;
mod wrong_input;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use spillway::batch::Signal;

use crate::support::client::{Client, Transport};
use crate::support::gateway::{Gateway, Home};

/// A chain of one target that answers nothing.
const NOBODY: &str = "targets: {hub: {protocol: otlp_http, endpoint: \"http://127.0.0.1:9\"}}\nchain: {primary: hub}\n";

/// The two ways to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    BesideAGateway,
    Offline,
}

const WAYS: [Way; 2] = [Way::BesideAGateway, Way::Offline];

/// What a tool said.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    /// Its standard output, which is one JSON object.
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// Its standard output, one JSON object a line.
    fn list(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// That it ended well.
    fn fine(self) -> Said {
        assert_eq!(self.code, 0, "{self}");
        self
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {}\n{}{}", self.code, self.out, self.err)
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// `spillway` with these words, on the queue of a home.
fn command(home: &Home, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spillway"));
    command.args(words.split_whitespace()).arg("--dir").arg(home.path().join("queue")).current_dir(home.path());
    command.stdin(Stdio::null());
    command
}

fn spillway(home: &Home, words: &str) -> Said {
    command(home, words).output().unwrap().into()
}

/// The same with something on standard input.
fn fed(home: &Home, words: &str, input: &[u8]) -> Said {
    let mut command = command(home, words);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap().into()
}

/// A gateway whose target is away, with `batches` requests of ten items of each signal. Stopped again for a look offline.
async fn filled(home: &Home, way: Way, batches: u64) -> Option<Gateway> {
    let gateway = home.start(NOBODY);
    send(&gateway, 0..batches).await;
    match way {
        Way::BesideAGateway => Some(gateway),
        Way::Offline => {
            assert!(gateway.stop().success());
            None
        }
    }
}

/// Sends requests of ten items of each signal.
async fn send(gateway: &Gateway, batches: std::ops::Range<u64>) {
    let client = Client::of(Transport::Grpc, gateway.grpc);
    for batch in batches {
        for signal in Signal::ALL {
            assert!(client.send(signal, batch * 10..batch * 10 + 10).await);
        }
    }
}

/// One account of the books, all signals together, as `queue stats` tells it.
fn books(home: &Home, account: &str) -> u64 {
    let stats = spillway(home, "queue stats --recount --json").fine().json();
    let of = |signal: &Signal| match &stats["signals"][signal.as_str()]["books"][account] {
        Value::Object(reasons) => reasons.values().map(|count| count.as_u64().unwrap()).sum(),
        count => count.as_u64().unwrap(),
    };
    Signal::ALL.iter().map(of).sum()
}

/// The numbers of the items in a file of OTLP JSON lines, by signal, sorted.
fn numbers(lines: &str) -> Vec<(Signal, u64)> {
    let mut numbers = Vec::new();
    for line in lines.lines() {
        let keys =
            [("resourceSpans", Signal::Traces), ("resourceMetrics", Signal::Metrics), ("resourceLogs", Signal::Logs)];
        let signal = keys.iter().find(|(key, _)| line.contains(key)).unwrap().1;
        let plain = spillway::otlp::json::from_json(signal, line.as_bytes()).unwrap();
        numbers.extend(support::items::ids(signal, &plain).into_iter().map(|id| (signal, id)));
    }
    numbers.sort_unstable();
    numbers
}

/// The numbers that [`filled`] sends.
fn sent(batches: u64) -> Vec<(Signal, u64)> {
    Signal::ALL.into_iter().flat_map(|signal| (0..batches * 10).map(move |id| (signal, id))).collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
