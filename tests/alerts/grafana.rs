//! A Grafana as a child process, on a port that the system chooses, which asks for nothing anywhere but of one Prometheus.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::gateway::exchange;

/// How long it may take to make its database and listen.
const START: Duration = Duration::from_secs(120);

/// The uid of its data source.
pub(crate) const SOURCE: &str = "the-prometheus";

pub(crate) struct Grafana {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Grafana {
    /// The home of the one in `SPILLWAY_GRAFANA`, or where its packages put it; `None`, and said aloud, where there is none.
    pub(crate) fn home() -> Option<PathBuf> {
        let home = PathBuf::from(std::env::var_os("SPILLWAY_GRAFANA").unwrap_or_else(|| "/usr/share/grafana".into()));
        if !home.join("bin/grafana").exists() {
            crate::skip::aloud("the dashboard is not imported: Grafana is not there (SPILLWAY_GRAFANA names its home)");
            return None;
        }
        Some(home)
    }

    /// Starts it, with a data source and this dashboard as a file that it finds at its start.
    pub(crate) fn start(home: &Path, prometheus: SocketAddr, dashboard: &Value) -> Grafana {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        for name in ["datasources", "dashboards", "plugins", "notifiers", "alerting", "access-control", "files"] {
            fs::create_dir_all(folder.path().join("provisioning").join(name)).unwrap();
        }
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(
            "grafana.ini",
            &format!(
                "[paths]\ndata = {path}/data\nlogs = {path}/log\nplugins = {path}/plugins\nprovisioning = {path}/provisioning\n\
                 [server]\nhttp_addr = 127.0.0.1\nhttp_port = 0\n\
                 [analytics]\nenabled = false\nreporting_enabled = false\ncheck_for_updates = false\ncheck_for_plugin_updates = false\n\
                 [plugins]\nplugin_admin_enabled = false\npreinstall_disabled = true\n\
                 [news]\nnews_feed_enabled = false\n[security]\ndisable_gravatar = true\n\
                 [auth.anonymous]\nenabled = true\norg_role = Admin\n"
            ),
        );
        let source = json!({"name": "Prometheus", "type": "prometheus", "uid": SOURCE, "access": "proxy", "isDefault": true,
            "url": format!("http://{prometheus}"), "jsonData": {"timeInterval": "1s"}});
        write("provisioning/datasources/it.yaml", &json!({"apiVersion": 1, "datasources": [source]}).to_string());
        let files = json!({"name": "files", "type": "file", "options": {"path": format!("{path}/provisioning/files")}});
        write("provisioning/dashboards/it.yaml", &json!({"apiVersion": 1, "providers": [files]}).to_string());
        write("provisioning/files/it.json", &dashboard.to_string());

        let log = folder.path().join("said");
        let mut child = Command::new(home.join("bin/grafana"))
            .arg("server")
            .arg("--homepath")
            .arg(home)
            .arg("--config")
            .arg(folder.path().join("grafana.ini"))
            .stdin(Stdio::null())
            .stdout(fs::File::create(&log).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        let address = loop {
            let said = fs::read_to_string(&log).unwrap_or_default();
            if let Some(address) = listening(&said) {
                break address;
            }
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < START, "Grafana does not listen ({ended:?}):\n{said}");
            std::thread::sleep(Duration::from_millis(50));
        };
        Grafana { child, address, _folder: folder }
    }

    /// What it answers, which has to be OK.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (code, answer) = exchange(self.address, method, path, &body);
        assert_eq!(code, 200, "{method} {path} {body}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }

    /// Its version.
    pub(crate) fn version(&self) -> String {
        self.ask("GET", "/api/health", &Value::Null)["version"].as_str().unwrap().to_owned()
    }

    /// A dashboard that it keeps.
    pub(crate) fn dashboard(&self, uid: &str) -> Value {
        self.ask("GET", &format!("/api/dashboards/uid/{uid}"), &Value::Null)
    }

    /// What its data source says to a path of the API of Prometheus.
    pub(crate) fn resource(&self, path: &str) -> Value {
        self.ask("GET", &format!("/api/datasources/uid/{SOURCE}/resources/api/v1/{path}"), &Value::Null)["data"].take()
    }
}

/// The address in the log's line that says so.
fn listening(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains("HTTP Server Listen"))?;
    let (_, address) = line.split_once("address=")?;
    address.split_whitespace().next()?.parse().ok()
}

impl Drop for Grafana {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
