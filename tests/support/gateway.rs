//! The real binary as a child process, on a queue in a temporary folder.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value;

/// How long a gateway may take to say where it listens, and to count what it has.
const START: Duration = Duration::from_secs(60);

/// A place for a gateway's files, kept over its restarts.
pub(crate) struct Home {
    folder: PathBuf,
    /// Removes the folder in the end, where it is one of our own.
    _temporary: Option<tempfile::TempDir>,
    /// Further keys of the section `queue`.
    pub(crate) queue: String,
    /// Further keys of the section `receivers.otlp`, and of its protocol `grpc`.
    pub(crate) receivers: String,
    pub(crate) grpc: String,
    /// Where the admin port listens, and further keys of the section `admin`.
    pub(crate) address: String,
    pub(crate) admin: String,
    /// What the binary is started with: `strace` and its arguments, say.
    pub(crate) wrapper: Vec<String>,
    /// How long the binary may take to say where it listens.
    pub(crate) patience: Duration,
}

/// A running gateway. Killed when dropped.
pub(crate) struct Gateway {
    child: Child,
    /// OTLP/gRPC door.
    pub(crate) grpc: SocketAddr,
    /// OTLP/HTTP door.
    pub(crate) http: SocketAddr,
    /// Admin port.
    pub(crate) admin: SocketAddr,
    /// From the start of the process until it listened.
    pub(crate) started_in: Duration,
    log: PathBuf,
}

impl Home {
    /// An empty one.
    pub(crate) fn new() -> Home {
        let temporary = tempfile::tempdir().unwrap();
        let home = Home::at(temporary.path());
        Home { _temporary: Some(temporary), ..home }
    }

    /// Whoever gives orders has to know that word.
    pub(crate) fn guard(&mut self, word: &str) {
        let token = self.path().join("token");
        fs::write(&token, word).unwrap();
        self.admin = format!("token_file: {}", token.display());
    }

    /// A folder of the caller's, on a volume of its choice.
    pub(crate) fn at(folder: &Path) -> Home {
        Home {
            folder: folder.to_owned(),
            _temporary: None,
            queue: String::new(),
            receivers: String::new(),
            grpc: String::new(),
            address: "127.0.0.1:0".to_owned(),
            admin: String::new(),
            wrapper: Vec::new(),
            patience: START,
        }
    }

    /// Its folder.
    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    /// Starts the binary with `config`, whose doors and queue are added here, and waits until it listens.
    pub(crate) fn start(&self, config: &str) -> Gateway {
        let started = self.launch(config);
        started.unwrap_or_else(|ended| panic!("no start ({ended:?}):\n{}", read(&self.log())))
    }

    /// As [`start`](Home::start); how the process ended where that was before it listened.
    pub(crate) fn launch(&self, config: &str) -> Result<Gateway, ExitStatus> {
        let config_file = self.path().join("spillway.yaml");
        self.write(config);
        let ports = self.path().join("ports.json");
        let _ = fs::remove_file(&ports);
        let log = self.log();
        let log_file = fs::File::options().create(true).append(true).open(&log).unwrap();
        let began = Instant::now();
        // Another build of it, where figures are to be those of a release.
        let binary = std::env::var("SPILLWAY_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_spillway").to_owned());
        let mut line = self.wrapper.iter().chain([&binary]);
        let mut child = Command::new(line.next().unwrap())
            .args(line)
            .args(["run", "--config"])
            .arg(&config_file)
            .arg("--ports-file")
            .arg(&ports)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log_file)
            .spawn()
            .unwrap();
        let ports = loop {
            let ports = fs::read_to_string(&ports).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
            if let Some(ports) = ports {
                break ports;
            }
            if let Some(ended) = child.try_wait().unwrap() {
                return Err(ended);
            }
            assert!(began.elapsed() < self.patience, "it does not listen:\n{}", read(&log));
            std::thread::sleep(Duration::from_millis(1));
        };
        let started_in = began.elapsed();
        let port = |name: &str| ports[name].as_str().unwrap().parse().unwrap();
        Ok(Gateway { child, grpc: port("grpc"), http: port("http"), admin: port("admin"), started_in, log })
    }

    /// What its gateways logged.
    pub(crate) fn logged(&self) -> String {
        read(&self.log())
    }

    /// Writes the configuration file of the next start, or for a running gateway to find. A symlink is followed.
    pub(crate) fn write(&self, config: &str) {
        fs::write(self.path().join("spillway.yaml"), self.whole(config)).unwrap();
    }

    /// A whole configuration: `config` with the places of this home.
    pub(crate) fn whole(&self, config: &str) -> String {
        format!("{config}\n{}", self.places())
    }

    /// Where its gateways log.
    fn log(&self) -> PathBuf {
        self.path().join("log.txt")
    }

    fn places(&self) -> String {
        format!(
            "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: 127.0.0.1:0, {}}}, http: {{endpoint: 127.0.0.1:0}}}}, {}}}}}\n\
             queue: {{directory: {}/queue, {}}}\n\
             admin: {{endpoint: \"{}\", {}}}\n\
             shutdown: {{linger: 0, timeout: 10s}}\n",
            self.grpc,
            self.receivers,
            self.path().display(),
            self.queue,
            self.address,
            self.admin
        )
    }
}

impl Gateway {
    /// A GET on the admin port: status code and body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        get(self.admin, path)
    }

    /// The sum of a metric over the series whose line contains each of `labels`.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        sum(&self.get("/metrics").1, name, labels)
    }

    /// Items of one account of the books, all signals together.
    pub(crate) fn books(&self, account: &str) -> u64 {
        account_of(&self.get("/metrics").1, account)
    }

    /// Asserts that the books balance, in themselves and against the recount. A store that is being reopened is waited for.
    pub(crate) fn assert_balanced(&self) {
        let deadline = Instant::now() + START;
        loop {
            let (code, status) = self.get("/status?recount=true");
            let status: Value = serde_json::from_str(&status).unwrap_or_default();
            let (recount, error) = (&status["books"]["recount"], &status["books"]["recount_error"]);
            if code == 200 && recount.is_object() && error.is_null() {
                break;
            }
            assert!(Instant::now() < deadline, "no recount: {code} {error}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        // One scrape: under load the next one tells of another moment.
        let (_, metrics) = self.get("/metrics");
        let came = account_of(&metrics, "accepted") + account_of(&metrics, "imported");
        let went = ["queued", "delivered", "rejected", "dead", "dropped"].map(|account| account_of(&metrics, account));
        assert_eq!(came, went.iter().sum::<u64>(), "the books: {went:?}\n{}", self.log());
        assert_eq!(sum(&metrics, "spillway_books_imbalance_items", &[]), 0.0, "the recount:\n{}", self.log());
    }

    /// What it logged, all its lives together.
    pub(crate) fn log(&self) -> String {
        read(&self.log)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// SIGKILL: no chance to tidy up.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        assert_eq!(self.child.wait().unwrap().signal(), Some(9), "it ended before it was killed:\n{}", self.log());
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.child.wait().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A GET on an admin port: status code and body.
pub(crate) fn get(admin: SocketAddr, path: &str) -> (u16, String) {
    exchange(admin, "GET", path, "")
}

/// Sends a request, with a body of JSON where there is one: status and body of the answer.
pub(crate) fn exchange(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n").unwrap();
    if !body.is_empty() {
        write!(stream, "content-type: application/json\r\ncontent-length: {}\r\n", body.len()).unwrap();
    }
    write!(stream, "\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    (code, if chunked { unchunk(body) } else { body.to_owned() })
}

fn sum(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let series = metrics.lines().filter(|line| {
        let rest = line.strip_prefix(name).unwrap_or("#");
        rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label))
    });
    series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

fn account_of(metrics: &str, account: &str) -> u64 {
    sum(metrics, "spillway_books_items", &[&format!("account=\"{account}\"")]) as u64
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        whole.push_str(&rest[..length]);
        body = rest[length..].trim_start_matches("\r\n");
        if length == 0 {
            break;
        }
    }
    whole
}
