//! A process under measurement, alone on the first core.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::volume;

/// Clock ticks a second of `/proc/PID/stat`; Linux has told 100 to user space for ever.
const TICKS: f64 = 100.0;

pub(crate) struct Contestant {
    command: Command,
    child: Child,
    door: SocketAddr,
    folder: tempfile::TempDir,
}

/// What a process has used.
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu_seconds: f64,
    /// Bytes that the volume was given to write.
    pub(crate) written: f64,
    /// Resident memory now, and at its largest, in bytes.
    pub(crate) resident: u64,
    pub(crate) peak_resident: u64,
}

impl Usage {
    /// What was used since `before`; of memory, what there is now, and the peak of the whole life.
    pub(crate) fn since(&self, before: &Usage) -> Usage {
        Usage { cpu_seconds: self.cpu_seconds - before.cpu_seconds, written: self.written - before.written, ..*self }
    }
}

impl Contestant {
    /// Starts it with an OTLP/gRPC door and the sink as its only target.
    pub(crate) fn start(name: &str, sink: SocketAddr) -> Result<Contestant, String> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|error| error.to_string())?;
        let door = free_port();
        let config = folder.path().join("config.yaml");
        let (program, arguments, text) = match name {
            "collector" => (collector_program()?, vec![], collector(door, sink, "gzip", None)),
            "collector, zstd" => (collector_program()?, vec![], collector(door, sink, "zstd", None)),
            "collector, persistent" => {
                (collector_program()?, vec![], collector(door, sink, "gzip", Some(folder.path())))
            }
            "rotel" => (rotel_program()?, rotel(door, sink, &folder), String::new()),
            _ => {
                let (target, cluster) = match name {
                    "one by one" => (", merge: {below: 0}", ""),
                    "spillway, tagging" => (
                        ", accepts: [gzip, zstd]",
                        "cluster: {name: aws-eu-west-1-prod-01, region: eu-west-1, action: upsert}\n",
                    ),
                    "spillway, zstd" => (", accepts: [gzip, zstd]", ""),
                    _ => ("", ""),
                };
                let doors = if name == "spillway, a crowd" { "max_connections: 12000, " } else { "" };
                let text = format!("{cluster}{}", spillway(door, doors, sink, target, &folder));
                (env!("CARGO_BIN_EXE_spillway").to_owned(), vec!["run".to_owned()], text)
            }
        };
        fs::write(&config, &text).map_err(|error| error.to_string())?;
        let log = fs::File::create(folder.path().join("log")).map_err(|error| error.to_string())?;
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(program).args(arguments);
        if !text.is_empty() {
            command.arg("--config").arg(&config);
        }
        command.env("GOMAXPROCS", "1").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().map_err(|error| format!("taskset: {error}"))?;
        let mut contestant = Contestant { command, child, door, folder };
        contestant.opened()?;
        Ok(contestant)
    }

    /// Waits until its door is open.
    fn opened(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(self.door).is_err() {
            let ended = self.child.try_wait().map_err(|error| error.to_string())?;
            if ended.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                return Err(format!("it did not open its door: {log}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Ends it as an operator does.
    pub(crate) fn stop(&mut self) -> Result<(), String> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).map_err(|error| error.to_string())?;
        self.child.wait().map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Starts it once more, over what it left.
    pub(crate) fn start_again(&mut self) -> Result<(), String> {
        self.child = self.command.spawn().map_err(|error| format!("taskset: {error}"))?;
        self.opened()
    }

    /// Measures the peak of its memory from now on.
    pub(crate) fn forget_peak(&mut self) -> Result<(), String> {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").map_err(|error| error.to_string())
    }

    /// Where everything lies that it keeps.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn door(&self) -> SocketAddr {
        self.door
    }

    /// What it has used so far.
    pub(crate) fn usage(&mut self) -> Result<Usage, String> {
        let pid = self.child.id();
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(|error| error.to_string());
        let field = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or_default()
        };
        let status = read("status")?;
        Ok(Usage {
            cpu_seconds: cpu_seconds(&read("stat")?),
            written: volume::written(self.folder()),
            resident: field(&status, "VmRSS:") << 10,
            peak_resident: field(&status, "VmHWM:") << 10,
        })
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps the calling thread, and all that it starts from now on, on that core.
pub(crate) fn pin_to(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).expect("the machine has two cores");
}

/// CPU seconds of this process.
pub(crate) fn own_cpu_seconds() -> f64 {
    cpu_seconds(&fs::read_to_string("/proc/self/stat").expect("Linux has /proc"))
}

/// User and system time, fields 14 and 15 of proc(5)'s `stat`, counted behind the name in parentheses.
fn cpu_seconds(stat: &str) -> f64 {
    let behind = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = behind.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / TICKS
}

pub(crate) fn free_port() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a free port")
}

fn collector_program() -> Result<String, String> {
    Ok(format!("{}/otelcol", printed("tests/interop/build", &[])?))
}

fn rotel_program() -> Result<String, String> {
    let requirements = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/wire/rotel.txt");
    let python = printed("tests/interop/python/setup", &[requirements])?;
    let find = "import rotel, pathlib; print(pathlib.Path(rotel.__file__).parent / 'rotel-agent')";
    printed(&python, &["-c", find])
}

/// What a program prints, one that is named from the top of the checkout.
fn printed(program: &str, arguments: &[&str]) -> Result<String, String> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(program);
    let output = Command::new(&program).args(arguments).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    if !output.status.success() {
        return Err(format!("{} ended with {}", program.display(), output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// As it comes, but for places and for a size of messages as the others take it.
fn rotel(door: SocketAddr, sink: SocketAddr, folder: &tempfile::TempDir) -> Vec<String> {
    let own = |file| folder.path().join(file).display().to_string();
    [
        ("--otlp-grpc-endpoint", door.to_string()),
        ("--otlp-http-endpoint", free_port().to_string()),
        ("--otlp-grpc-max-recv-msg-size-mib", "64".to_owned()),
        ("--exporter", "otlp".to_owned()),
        ("--otlp-exporter-endpoint", format!("http://{sink}")),
        ("--pid-file", own("pid")),
        ("--log-file", own("rotel.log")),
    ]
    .into_iter()
    .fold(vec!["start".to_owned()], |line, (key, value)| [line, vec![key.to_owned(), value]].concat())
}

/// A backlog is sent as fast as the sink takes it: what a hub is spared by default is not what is measured.
fn spillway(door: SocketAddr, doors: &str, sink: SocketAddr, target: &str, folder: &tempfile::TempDir) -> String {
    format!(
        "receivers: {{otlp: {{{doors}protocols: {{grpc: {{endpoint: \"{door}\"}}}}}}}}\n\
         queue: {{directory: {}/queue}}\n\
         targets: {{hub: {{protocol: otlp_grpc, endpoint: \"http://{sink}\"{target}}}}}\n\
         chain: {{primary: hub}}\n\
         replay: {{rate: 10GiB}}\n\
         admin: {{endpoint: 127.0.0.1:0}}\n",
        folder.path().display()
    )
}

/// With a folder its queue lies in there, with an fsync before each OK, and it tries again every second for ever.
fn collector(door: SocketAddr, sink: SocketAddr, compression: &str, queue: Option<&Path>) -> String {
    let pipelines =
        ["traces", "metrics", "logs"].map(|signal| format!("{signal}: {{receivers: [otlp], exporters: [otlp]}}"));
    let (extension, used, persistent) = queue.map_or_else(Default::default, |folder| {
        (
            format!("extensions: {{file_storage: {{directory: {}, fsync: true}}}}\n", folder.display()),
            "extensions: [file_storage], ",
            ", sending_queue: {storage: file_storage, queue_size: 1000000}, \
             retry_on_failure: {initial_interval: 1s, max_interval: 1s, max_elapsed_time: 0}",
        )
    });
    format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: \"{door}\"}}}}}}}}\n{extension}\
         exporters: {{otlp: {{endpoint: \"{sink}\", tls: {{insecure: true}}, compression: {compression}{persistent}}}}}\n\
         service: {{{used}telemetry: {{metrics: {{level: none}}}}, pipelines: {{{}}}}}\n",
        pipelines.join(", ")
    )
}
