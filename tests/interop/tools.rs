//! Collectors, load generator and counter as child processes.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The folder of `otelcol` and `loadgen`; `None`, said aloud, where they cannot be built.
pub(crate) fn programs() -> Option<PathBuf> {
    printed_path(&["build"], "collector, load generator and SDK client of Go (which is not there)")
}

/// The Python that has the OpenTelemetry SDK; `None`, said aloud, where there is none.
pub(crate) fn python() -> Option<PathBuf> {
    printed_path(&["python/setup"], "SDK client of Python (which is not there)")
}

/// The SDK client of `javascript` or `java`; `None`, said aloud, where that is not there.
pub(crate) fn client(language: &str) -> Option<PathBuf> {
    printed_path(&["client", language], &format!("SDK client of {language} (which is not there)"))
}

/// What one of the scripts prints.
fn printed_path(line: &[&str], skipped: &str) -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(line[0]);
    let output = Command::new(&script).args(&line[1..]).stderr(Stdio::inherit()).output().unwrap();
    if output.status.code() == Some(77) {
        crate::skip::aloud(skipped);
        return None;
    }
    assert!(output.status.success(), "{line:?} failed");
    Some(PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()))
}

/// A collector. Killed when dropped.
pub(crate) struct Collector {
    command: Command,
    child: Child,
    health: SocketAddr,
    /// Its OTLP/gRPC door.
    pub(crate) grpc: SocketAddr,
    /// Its OTLP/HTTP door.
    pub(crate) http: SocketAddr,
}

impl Collector {
    /// A hub that writes to `folder`.
    pub(crate) fn hub(programs: &Path, folder: &Path) -> Collector {
        std::fs::create_dir_all(folder).unwrap();
        let [grpc, http, health] = [free_port(), free_port(), free_port()];
        let places = [("HUB_GRPC", grpc), ("HUB_HTTP", http), ("HUB_HEALTH", health)];
        let mut command = collector(programs, "hub", places);
        command.env("HUB_DIR", folder);
        Collector::start(command, grpc, http, health)
    }

    /// A hub that shows the metrics it gets, at the address beside it, to a Prometheus.
    pub(crate) fn heard(programs: &Path) -> (Collector, SocketAddr) {
        let [grpc, http, health, metrics] = [free_port(), free_port(), free_port(), free_port()];
        let places = [("HUB_GRPC", grpc), ("HUB_HTTP", http), ("HUB_HEALTH", health), ("HUB_METRICS", metrics)];
        (Collector::start(collector(programs, "heard", places), grpc, http, health), metrics)
    }

    /// A spoke that sends to the gRPC door of a gateway.
    pub(crate) fn spoke(programs: &Path, gateway: SocketAddr) -> Collector {
        let [grpc, http, health] = [free_port(), free_port(), free_port()];
        let places = [("SPOKE_GRPC", grpc), ("SPOKE_HTTP", http), ("SPOKE_HEALTH", health)];
        let mut command = collector(programs, "spoke", places);
        command.env("SPILLWAY_GRPC", gateway.to_string());
        Collector::start(command, grpc, http, health)
    }

    fn start(mut command: Command, grpc: SocketAddr, http: SocketAddr, health: SocketAddr) -> Collector {
        let child = command.spawn().unwrap();
        let mut collector = Collector { command, child, health, grpc, http };
        collector.await_health();
        collector
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again at the same ports.
    pub(crate) fn restart(&mut self) {
        self.child = self.command.spawn().unwrap();
        self.await_health();
    }

    fn await_health(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(self.health).is_err() {
            assert!(self.child.try_wait().unwrap().is_none(), "the collector ended");
            assert!(Instant::now() < deadline, "the collector did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collector<const N: usize>(programs: &Path, config: &str, places: [(&str, SocketAddr); N]) -> Command {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/interop/configs/{config}.yaml"));
    let mut command = Command::new(programs.join("otelcol"));
    command.arg("--config").arg(config).envs(places.map(|(name, address)| (name, address.to_string())));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// A collector that reads files of OTLP JSON lines and sends them to a hub. Killed when dropped.
pub(crate) struct Reader(Child);

/// Starts one on the files that `glob` names.
pub(crate) fn reader(programs: &Path, glob: &str, hub: &Collector) -> Reader {
    let mut command = collector(programs, "reader", [("HUB_GRPC", hub.grpc)]);
    Reader(command.env("READ_FILES", glob).spawn().unwrap())
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that was free a moment ago.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A load generator at work.
pub(crate) struct Sender(Child);

/// Starts sending `items` items to an OTLP/gRPC door; `rate` items a second, 0 for as fast as they are taken.
pub(crate) fn send(programs: &Path, door: SocketAddr, signal: &str, producer: &str, items: u64, rate: u64) -> Sender {
    let mut command = Command::new(programs.join("loadgen"));
    command.args(["send", "--signal", signal, "--producer", producer, "--endpoint", &door.to_string()]);
    command.args(["--items", &items.to_string(), "--rate", &rate.to_string()]);
    Sender(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
}

impl Sender {
    /// Waits until every item was answered OK.
    pub(crate) fn finish(mut self) {
        assert!(self.0.wait().unwrap().success(), "the load generator gave up");
    }

    /// Whether it still sends.
    pub(crate) fn busy(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

/// What the files of a hub hold of one producer, after waiting for `items` for at most `patience`.
pub(crate) fn count(
    programs: &Path,
    folders: &[&Path],
    signal: &str,
    producer: &str,
    items: u64,
    patience: Duration,
) -> Count {
    let mut command = Command::new(programs.join("loadgen"));
    command.args(["count", "--signal", signal, "--producer", producer, "--items", &items.to_string()]);
    command.args(["--wait", &format!("{}s", patience.as_secs())]);
    for folder in folders {
        command.arg("--files").arg(folder.join(format!("{signal}.jsonl")));
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let count: HashMap<String, Value> = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text} {}", String::from_utf8_lossy(&output.stderr)));
    let figure = |name: &str| count.get(name).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {name} in {text}"));
    Count {
        distinct: figure("distinct"),
        duplicates: figure("duplicates"),
        missing: figure("missing"),
        altered: figure("altered"),
    }
}

/// The counter's account, in items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) distinct: u64,
    pub(crate) duplicates: u64,
    pub(crate) missing: u64,
    pub(crate) altered: u64,
}
