//! A Prometheus as a child process, on a port that the system chooses.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::gateway::get;

/// How long it may take to listen.
const START: Duration = Duration::from_secs(120);

pub(crate) struct Prometheus {
    child: Child,
    pub(crate) address: SocketAddr,
    _folder: tempfile::TempDir,
}

/// One result of a query: its labels, and its value, or its values with their times.
pub(crate) struct Series(Value);

impl Prometheus {
    /// Starts it, to scrape `target` twice a second and evaluate these rules as often; `None` where there is none to start.
    pub(crate) fn scraping(target: SocketAddr, rules: &[(&str, String)]) -> Option<Prometheus> {
        Command::new("prometheus").arg("--version").output().ok()?;
        let folder = tempfile::tempdir().unwrap();
        let mut names = Vec::new();
        for (name, text) in rules {
            fs::write(folder.path().join(name), text).unwrap();
            names.push(*name);
        }
        let config = format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}\n\
             rule_files: [{}]\n\
             scrape_configs:\n  - job_name: spillway\n    honor_labels: true\n    static_configs: [{{targets: [\"{target}\"]}}]\n",
            names.join(", ")
        );
        fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let log = folder.path().join("log");
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}/prometheus.yml", folder.path().display()))
            .arg(format!("--storage.tsdb.path={}/data", folder.path().display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let began = Instant::now();
        let address = loop {
            let said = fs::read_to_string(&log).unwrap_or_default();
            if let Some(address) = listening(&said)
                && said.contains("Server is ready")
            {
                break address;
            }
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < START, "Prometheus does not listen ({ended:?}):\n{said}");
            std::thread::sleep(Duration::from_millis(20));
        };
        Some(Prometheus { child, address, _folder: folder })
    }

    /// What an expression gives now.
    pub(crate) fn query(&self, expression: &str) -> Vec<Series> {
        let escaped: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let (code, body) = get(self.address, &format!("/api/v1/query?query={escaped}"));
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert!(code == 200 && answer["status"] == "success", "{expression}: {body}");
        answer["data"]["result"].as_array().unwrap().iter().cloned().map(Series).collect()
    }

    /// Whether it gives anything now.
    pub(crate) fn holds(&self, expression: &str) -> bool {
        !self.query(expression).is_empty()
    }
}

impl Series {
    pub(crate) fn label(&self, name: &str) -> &str {
        self.0["metric"][name].as_str().unwrap_or_default()
    }

    /// The value of an instant.
    pub(crate) fn value(&self) -> f64 {
        self.0["value"][1].as_str().unwrap().parse().unwrap()
    }

    /// First and last time of a range, in seconds since the Unix epoch.
    pub(crate) fn span(&self) -> (f64, f64) {
        let values = self.0["values"].as_array().unwrap();
        let at = |sample: Option<&Value>| sample.unwrap()[0].as_f64().unwrap();
        (at(values.first()), at(values.last()))
    }
}

/// The address in the log's line that says so.
fn listening(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains("Listening on"))?;
    let (_, address) = line.split_once("address=")?;
    address.split_whitespace().next()?.parse().ok()
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A copy of a rule file in which a minute is so many seconds: every `for` and every range, so that with one second an outage of an hour
/// takes a minute. What rules compare with stays what it is.
pub(crate) fn hurried(path: &Path, minute: u64) -> String {
    let hurried = |time: &str| hurried_time(time, minute);
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| match line.trim_start().strip_prefix("for: ") {
        Some(time) => line.replace(time, &hurried(time)),
        None => {
            let mut parts = line.split('[');
            let mut out = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                let inside = part
                    .split_once(']')
                    .map(|(inside, rest)| (inside.split(':').map(hurried).collect::<Vec<_>>(), rest));
                out += &match inside {
                    Some((times, rest)) => format!("[{}]{rest}", times.join(":")),
                    None => format!("[{part}"),
                };
            }
            out
        }
    });
    lines.map(|line| line + "\n").collect()
}

/// `2m` as `2s`, where a minute is a second. What is no time stays.
fn hurried_time(time: &str, minute: u64) -> String {
    let seconds = |unit: char| {
        Some(match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        })
    };
    let parse = || {
        let unit = time.chars().last()?;
        let count: u64 = time.strip_suffix(unit)?.parse().ok()?;
        Some((count * seconds(unit)? * minute / 60).max(1))
    };
    parse().map_or_else(|| time.to_owned(), |seconds| format!("{seconds}s"))
}

#[test]
fn a_minute_is_a_second() {
    for (time, hurried) in [("10m", "10s"), ("30s", "1s"), ("6h", "360s"), ("1d", "1440s"), ("signal", "signal")] {
        assert_eq!(hurried_time(time, 1), hurried);
    }
}
