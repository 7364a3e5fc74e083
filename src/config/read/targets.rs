//! `targets`

use std::time::Duration;

use super::process::header_text;
use super::target_endpoint::{Endpoints, Kind, warn_about_tls};
use super::target_parts::{accepts, auth, breaker, file, headers, health, merge, proxy_url, retry, tls};
use crate::config::collector;
use crate::config::mistake::{Mistake, Place};
use crate::config::reader::Section;
use crate::config::targets::{EndpointError, FileConfig, NetworkConfig, Protocol, TargetConfig, TargetKind};
use crate::config::tree::Value;

/// Longer names would not fit into labels and file names.
const MAX_NAME: usize = 63;

/// Reads every target whose kind and endpoint are clear; of the others the report has a mistake.
pub(super) fn read(root: &mut Section<'_>) -> Vec<TargetConfig> {
    let path = root.path.key("targets");
    let entries = root.names("targets");
    let report = root.report;
    let mut targets = Vec::new();
    for entry in entries {
        if !is_name(&entry.key) {
            let what = format!("`{}` cannot be the name of a target", entry.key);
            let mistake = Mistake::new(entry.at.clone(), what);
            report.mistake(match entry.key.contains('/') {
                true => mistake.hint(collector::advice_on_name(&entry.key)),
                false => mistake.expected(format!("letters, digits, - and _, at most {MAX_NAME}")),
            });
        }
        let node = Some(&entry.value);
        targets.extend(report.section(node, path.name(&entry.key), |section| target(section, &entry.key, &entry.at)));
    }
    targets
}

fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

const NETWORK_KEYS: [&str; 11] = [
    "endpoint",
    "traces_endpoint",
    "metrics_endpoint",
    "logs_endpoint",
    "accepts",
    "timeout",
    "headers",
    "auth",
    "proxy_url",
    "tls",
    "merge",
];
const FILE_KEYS: [&str; 3] = ["path", "format", "rotation"];

fn target(section: &mut Section<'_>, name: &str, key: &Place) -> Option<TargetConfig> {
    let protocols = [
        ("otlp_grpc", Some(Kind::Network(Protocol::OtlpGrpc))),
        ("otlp_http", Some(Kind::Network(Protocol::OtlpHttp))),
        ("file", Some(Kind::File)),
    ];
    let kind = section.choice("protocol", None, &protocols);
    let unclear = section.has("protocol") && kind.is_none();
    let tls = section.section("tls", tls);
    let endpoints = Endpoints::read(section, tls.insecure);
    let kind = if unclear { None } else { kind.or_else(|| endpoints.kind()) };

    let file = file(section);
    let (connections, max_concurrency) = section.section("concurrency", |section| {
        (section.count("connections", 2, 1..=64) as usize, section.count("max", 32, 1..=10_000) as usize)
    });
    let network = NetworkConfig {
        accepts: accepts(section),
        timeout: section.interval("timeout", Duration::from_secs(10)),
        headers: headers(section),
        auth: section.section("auth", auth),
        proxy_url: proxy_url(section),
        tls,
        connections,
        merge: section.section("merge", merge),
        ..NetworkConfig::new(Protocol::OtlpGrpc, [const { String::new() }; 3])
    };
    let kind = match kind {
        Some(Kind::Network(protocol)) => {
            refuse(section, &FILE_KEYS, "a network target has no");
            let endpoints = endpoints.urls(section, name, key, protocol);
            warn_about_tls(section, &network.tls, &endpoints);
            Some(TargetKind::Network(NetworkConfig { protocol, endpoints, ..network }))
        }
        Some(Kind::File) => {
            refuse(section, &NETWORK_KEYS, "a file target has no");
            if file.is_none() && !section.has("path") {
                let mistake = Mistake::new(key.clone(), format!("`targets.{name}` has no path"));
                section.report.mistake(mistake.expected("path: /some/where/telemetry.jsonl"));
            }
            file.map(TargetKind::File)
        }
        None => {
            if !unclear {
                endpoints.complain_about_protocol(section, name, key);
            }
            None
        }
    };
    let target = TargetConfig {
        cluster: header_text(section, "cluster"),
        replay_to_primary: section.bool("replay_to_primary", true),
        retry: section.section("retry", retry),
        health: section.section("health", health),
        breaker: section.section("breaker", breaker),
        max_concurrency,
        throttle_patience: section.duration("throttle_patience", Duration::from_secs(120)),
        refusal_patience: section.duration("refusal_patience", Duration::from_secs(600)),
        on_endpoint_error: section.choice(
            "on_endpoint_error",
            EndpointError::Hold,
            &[("hold", EndpointError::Hold), ("dead", EndpointError::Dead), ("drop", EndpointError::Drop)],
        ),
        strict_otlp: section.bool("strict_otlp", false),
        ..TargetConfig::new(name, TargetKind::File(FileConfig::new("")))
    };
    kind.map(|kind| TargetConfig { kind, ..target })
}

/// Notes keys that belong to the other kind of target.
fn refuse(section: &Section<'_>, keys: &[&str], what: &str) {
    for entry in section.entries.iter().filter(|entry| keys.contains(&entry.key.as_str()) && !entry.value.is_null()) {
        let empty = matches!(&entry.value.value, Value::Scalar(scalar) if scalar.text.is_empty());
        if !empty {
            section
                .report
                .mistake(Mistake::new(entry.at.clone(), format!("`{}`: {what} `{}`", section.path.real, entry.key)));
        }
    }
}
