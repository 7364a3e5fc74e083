//! Scenario: sections that no target can be built from.
//! Guarantee: one sentence that names the key, the file where one is meant, and the reason; nothing is written or dialed.

use std::fs;
use std::path::Path;

use spillway::config::{NetworkConfig, Protocol, Secret, TargetKind};

use crate::setup::{BOTH, config, file, network};

fn mistake(kind: TargetKind) -> String {
    spillway::target::build(&config(kind), "").err().expect("a mistake").to_string()
}

fn of_network(protocol: Protocol, change: impl Fn(&mut NetworkConfig)) -> String {
    let mut network = network(protocol, "https://hub.example:4317");
    change(&mut network);
    mistake(TargetKind::Network(network))
}

#[test]
fn network_targets() {
    let dir = tempfile::tempdir().unwrap();
    let garbage = dir.path().join("garbage.pem");
    fs::write(&garbage, "no certificate\n").unwrap();
    let missing = || Some(Path::new("/nowhere/file.pem").to_owned());
    for protocol in BOTH {
        let ca = of_network(protocol, |network| network.tls.ca_file = missing());
        assert!(ca.starts_with("targets.hub.tls.ca_file: /nowhere/file.pem: No such file"), "{ca}");
        let ca = of_network(protocol, |network| network.tls.ca_file = Some(garbage.clone()));
        assert!(ca.ends_with("garbage.pem: holds no PEM certificate"), "{ca}");
        let pair = of_network(protocol, |network| network.tls.cert_file = missing());
        assert_eq!(pair, "targets.hub.tls.cert_file: /nowhere/file.pem: key_file is missing beside it");
        let key = of_network(protocol, |network| {
            network.tls.cert_file = Some(garbage.clone());
            network.tls.key_file = missing();
        });
        assert!(key.contains("targets.hub.tls.cert_file"), "{key}");
        let token = of_network(protocol, |network| network.auth.bearer_token_file = missing());
        assert!(token.starts_with("targets.hub.auth.bearer_token_file: /nowhere/file.pem"), "{token}");
        let url = of_network(protocol, |network| network.endpoints[1] = "hub:4317".to_owned());
        assert!(url.starts_with("targets.hub.endpoint: \"hub:4317\""), "{url}");
        let proxy = of_network(protocol, |network| network.proxy_url = Some("socks5://proxy:1".to_owned()));
        assert!(proxy.starts_with("targets.hub.proxy_url: "), "{proxy}");
        for (name, value) in [("content-type", "x"), ("bad name", "x"), ("x-token", "two\nlines")] {
            let header = of_network(protocol, |n| n.headers = vec![(name.to_owned(), Secret::new(value))]);
            assert!(header.starts_with(&format!("targets.hub.headers.{name}: ")), "{header}");
            assert!(!header.contains("lines"), "{header}");
        }
        for path in ["healthz", "http://hub/healthz", "/a b"] {
            let mut config = config(TargetKind::Network(network(protocol, "http://hub:4317")));
            config.health.path = path.to_owned();
            let error = spillway::target::build(&config, "").err().unwrap().to_string();
            assert!(error.starts_with("targets.hub.health.path: "), "{error}");
        }
        let name = of_network(protocol, |n| n.tls.server_name_override = Some("not a name".to_owned()));
        assert!(name.starts_with("targets.hub.tls.server_name_override: "), "{name}");
    }
}

#[test]
fn file_targets() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| mistake(TargetKind::File(file(&dir.path().join(path))));
    let far = at("not/there/otlp.jsonl");
    assert!(far.starts_with("targets.hub.path: /") && far.contains("neither"), "{far}");
    assert!(!dir.path().join("not").exists());
    fs::write(dir.path().join("plain"), "").unwrap();
    assert!(at("plain/otlp.jsonl").contains("is not a directory"));
    assert!(mistake(TargetKind::File(file(dir.path()))).contains("expected the path of a file"));
}
