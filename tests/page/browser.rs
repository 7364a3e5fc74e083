//! A browser: Chromium without a window, driven over the WebDriver protocol.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::wait::until;
use crate::{skip, wire};

/// Nothing but the page: Chromium itself asks for nothing anywhere.
const FLAGS: [&str; 10] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--lang=en",
];
/// Largest picture for the docs, in bytes.
const PICTURE: usize = 150 << 10;
/// How long the page may take to show something.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A browser with one tab. Ended when dropped.
pub(crate) struct Browser {
    driver: Child,
    _said: BufReader<ChildStdout>,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one; `None`, and said aloud, where there is none on this machine.
    pub(crate) fn start() -> Option<Browser> {
        let spawned = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut driver) = spawned else {
            skip::aloud("the page is not looked at: chromium and chromium-driver are not installed");
            return None;
        };
        let mut said = BufReader::new(driver.stdout.take().unwrap());
        let port = loop {
            let mut line = String::new();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "chromedriver ended");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim().trim_end_matches('.').parse().unwrap();
            }
        };
        let profile = tempfile::tempdir().unwrap();
        let args: Vec<String> = FLAGS
            .iter()
            .map(|flag| (*flag).to_owned())
            .chain([format!("--user-data-dir={}", profile.path().display()), "--window-size=1200,900".to_owned()])
            .collect();
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": args},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let begun = wire::ask(port, "POST", "/session", &wanted);
        let mut browser = Browser { driver, _said: said, port, session: String::new(), _profile: profile };
        browser.session = begun.unwrap()["sessionId"].as_str().unwrap().to_owned();
        Some(browser)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        wire::ask(self.port, method, &format!("/session/{}{path}", self.session), body).unwrap()
    }

    /// Goes to an address.
    pub(crate) fn open(&self, url: &str) {
        self.ask("POST", "/url", &json!({"url": url}));
    }

    /// What a script returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.ask("POST", "/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Text that is seen in the first element of a selector; empty where there is none.
    pub(crate) fn text(&self, selector: &str) -> String {
        let found = self.run(&format!("return document.querySelector({selector:?})?.innerText ?? ''"));
        found.as_str().unwrap().to_owned()
    }

    /// How many elements there are of a selector.
    pub(crate) fn count(&self, selector: &str) -> u64 {
        self.run(&format!("return document.querySelectorAll({selector:?}).length")).as_u64().unwrap()
    }

    /// Waits until a script says true.
    pub(crate) async fn sees(&self, what: &str, script: &str) {
        until(what, SOON, || self.run(script) == true).await;
    }

    /// Waits until the headline has that word.
    pub(crate) async fn sees_state(&self, state: &str) {
        let script = format!("return document.querySelector('[data-state]')?.dataset.state === {state:?}");
        self.sees(&format!("the page says {state}"), &script).await;
    }

    /// Clicks what a person would click; fails where something lies over it.
    pub(crate) fn click(&self, selector: &str) {
        let found = self.ask("POST", "/element", &json!({"using": "css selector", "value": selector}));
        let element = found.as_object().unwrap().values().next().unwrap().as_str().unwrap();
        self.ask("POST", &format!("/element/{element}/click"), &json!({}));
    }

    /// Types keys, those of WebDriver's private code points included.
    pub(crate) fn press(&self, keys: &str) {
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|stroke| json!({"type": stroke, "value": key.to_string()})))
            .collect();
        self.ask("POST", "/actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]}));
    }

    /// Role and name of what has the focus, as somebody hears them who does not see the page.
    pub(crate) fn focused(&self) -> (String, String) {
        let found = self.ask("GET", "/element/active", &Value::Null);
        let element = found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        let heard = |what: &str| {
            self.ask("GET", &format!("/element/{element}/{what}"), &Value::Null).as_str().unwrap().to_owned()
        };
        (heard("computedrole"), heard("computedlabel"))
    }

    /// Light or dark, as the system would have it.
    pub(crate) fn prefers(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// The size of the screen, in CSS pixels.
    pub(crate) fn size(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    fn devtools(&self, command: &str, params: &Value) {
        self.ask("POST", "/goog/cdp/execute", &json!({"cmd": command, "params": params}));
    }

    /// Keeps a picture of the page as a large screen shows it, for the docs, where they are to be written anew.
    pub(crate) async fn picture(&self, name: &str) {
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let size = json!({"width": 1280, "height": 1130, "deviceScaleFactor": 0.75, "mobile": false});
            self.devtools("Emulation.setDeviceMetricsOverride", &size);
            let drawn = "const plot = document.querySelector('#plot'); return !plot || plot.clientWidth === plot.querySelector('svg').viewBox.baseVal.width";
            self.sees("the page is drawn for the picture", drawn).await;
        }
        self.run("scrollTo(0, 0)");
        self.keep(name);
        self.devtools("Emulation.clearDeviceMetricsOverride", &json!({}));
    }

    /// Keeps a picture of what the screen shows.
    pub(crate) fn keep(&self, name: &str) {
        let picture = self.ask("GET", "/screenshot", &Value::Null);
        let picture = base64::engine::general_purpose::STANDARD.decode(picture.as_str().unwrap()).unwrap();
        assert!(picture.starts_with(b"\x89PNG"), "{name}");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            assert!(picture.len() <= PICTURE, "{name} has {} bytes", picture.len());
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screens");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
        }
    }

    /// Errors that the page made, and that the browser had with it: broken rules of its policy, files that are not there.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.ask("POST", "/se/log", &json!({"type": "browser"}));
        let bad =
            log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        bad.map(|entry| entry["message"].to_string()).collect()
    }

    /// Every address that was asked for since this was called last.
    pub(crate) fn asked_for(&self) -> Vec<String> {
        let log = self.ask("POST", "/se/log", &json!({"type": "performance"}));
        let events = log.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap());
        let events = events.map(|event| serde_json::from_str::<Value>(event).unwrap());
        let sent = events.filter(|event| event["message"]["method"] == "Network.requestWillBeSent");
        let asked = sent.map(|event| event["message"]["params"]["request"]["url"].as_str().unwrap().to_owned());
        // The browser's own first tab is made of files of the browser.
        asked.filter(|url| !url.starts_with("chrome:") && !url.starts_with("data:")).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = wire::ask(self.port, "DELETE", &format!("/session/{}", self.session), &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
