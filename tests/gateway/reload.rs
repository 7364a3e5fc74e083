//! Scenario: under load the configuration changes again and again: a ConfigMap's symlink is swapped, a file is edited, SIGHUP is sent;
//! it is good, bad, for the next start, or against a pin.
//! Guarantee: what is good is in force soon and what is bad is told and changes nothing; no request is refused, each
//! acknowledged item arrives, the books balance.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::client::Load;
use crate::support::gateway::{Gateway, Home};
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};
use crate::{chain, spillway};

/// By when a change has to be in force: a minute, and another for a machine that has other things to do.
const SOON: Duration = seconds(120);

fn reload(gateway: &Gateway) -> Value {
    serde_json::from_str::<Value>(&gateway.get("/status").1).unwrap()["reload"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_change_under_load() {
    let (one, two, other) = (Hub::start().await, Hub::start().await, Hub::start().await);
    let to = |hub: &Hub| chain("otlp_grpc", &hub.url(), &other.url(), true);
    let home = Home::new();
    // As a kubelet lays out a ConfigMap: the file is a link through a link to a folder.
    let version = |number: u32, text: &str| {
        let folder = home.path().join(format!("..v{number}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("spillway.yaml"), home.whole(text)).unwrap();
        let link = home.path().join("..data_tmp");
        symlink(&folder, &link).unwrap();
        fs::rename(link, home.path().join("..data")).unwrap();
    };
    version(1, &to(&one));
    symlink("..data/spillway.yaml", home.path().join("spillway.yaml")).unwrap();
    let gateway = home.start(&to(&one));
    let load = Load::start(gateway.grpc, gateway.http, 20, Duration::from_millis(25));
    until("the first hub gets data", SOON, || one.distinct() > 500).await;

    // A swap.
    version(2, &to(&two));
    until("the second hub gets data", SOON, || two.distinct() > 500).await;
    assert!(
        reload(&gateway)["success_ms"].is_u64() && gateway.metric("spillway_config_last_reload_successful", &[]) == 1.0
    );
    let at_first = one.distinct();

    // Nonsense: told, and nothing else.
    version(3, "targets: {hub: {endpoint: 17}}\nchain: [");
    until("nonsense is told", SOON, || gateway.metric("spillway_config_last_reload_successful", &[]) == 0.0).await;
    let told = reload(&gateway);
    assert!(told["successful"] == false && told["error"].as_str().unwrap().contains("spillway.yaml:"), "{told}");
    let before = two.distinct();
    until("the second hub goes on", SOON, || two.distinct() > before + 500).await;
    assert!(gateway.log().contains("the configuration cannot be taken, the one before stays in force"));

    // SIGHUP, with another primary, and a key that has to wait.
    version(4, &to(&one).replace("failover_after: 1s", "failover_after: 2s"));
    gateway.signal(Signal::HUP);
    until("the first hub is back", SOON, || one.distinct() > at_first + 500).await;
    until("it is well", SOON, || gateway.metric("spillway_config_last_reload_successful", &[]) == 1.0).await;
    let slower = to(&one).replace("failover_after: 1s", "failover_after: 2s");
    version(5, &format!("{slower}telemetry: {{log_format: json}}\n"));
    until("the key is named", SOON, || reload(&gateway)["restart_needed"][0] == "telemetry.log_format").await;

    // Against a pin, which is then taken back.
    spillway(&home, "pin fallback");
    until("the pinned target gets data", SOON, || other.distinct() > 500).await;
    version(6, &format!("targets: {{hub: {{protocol: otlp_grpc, endpoint: \"{}\"}}}}\n", two.url()));
    until("it is refused", SOON, || reload(&gateway)["successful"] == false).await;
    let error = reload(&gateway)["error"].as_str().unwrap().to_owned();
    assert!(error.contains("pinned to fallback"), "{error}");
    let (before, at_second) = (other.distinct(), two.distinct());
    until("the pin holds", SOON, || other.distinct() > before + 500).await;
    spillway(&home, "unpin");
    until("the second hub is all there is", SOON, || two.distinct() > at_second + 500).await;
    assert_eq!(
        serde_json::from_str::<Value>(&gateway.get("/status").1).unwrap()["targets"].as_array().unwrap().len(),
        1
    );

    let acknowledged = load.stop().await;
    until("everything is settled", SOON, || gateway.books("queued") == 0).await;
    gateway.assert_balanced();
    assert_eq!(gateway.metric("spillway_refused_items_total", &[]), 0.0, "nothing was refused");
    let lost: Vec<_> =
        one.missing(&acknowledged).into_iter().filter(|(signal, id)| !two.copies(*signal).contains_key(id)).collect();
    assert!(lost.is_empty(), "at neither hub: {lost:?}\n{}", gateway.log());
    for account in ["dead", "dropped", "rejected"] {
        assert_eq!(gateway.books(account), 0, "{account}");
    }
    let said = gateway.log().matches("spillway.yaml:").count();
    assert!(said < 10, "a bad file is told once, not at every look: {said}");
}
