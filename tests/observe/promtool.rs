//! Scenario: the exposition is given to Prometheus's own checker.
//! Guarantee: it parses, and its linter has nothing to say of names, types and help texts.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::Gateway;

#[tokio::test]
async fn prometheus_itself_has_nothing_to_object() {
    if Command::new("promtool").arg("--version").output().is_err() {
        crate::skip::aloud("promtool is not installed (Debian's package prometheus has it)");
        return;
    }
    let gateway = Gateway::running().await;
    let reply = gateway.get("/metrics").await;
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4"));
    let mut check = Command::new("promtool");
    let check = check.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut check = check.spawn().unwrap();
    check.stdin.take().unwrap().write_all(reply.body.as_bytes()).unwrap();
    let said = check.wait_with_output().unwrap();
    let words = [said.stdout, said.stderr].concat();
    assert!(said.status.success() && words.is_empty(), "{}", String::from_utf8_lossy(&words));
}
