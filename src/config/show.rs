//! The effective configuration as a tree: every key with the value that holds, secrets masked.
//!
//! Sections are taken apart field by field, so that a new key cannot be forgotten here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::mistake::Place;
use super::tree::{Entry, Node, Value};
use super::*;
use crate::batch::{Encoding, Signal};
use crate::units::{ByteSize, format_duration};

/// The tree that would be read as this configuration, but for the secrets.
pub(super) fn tree(config: &Config) -> Node {
    let Config { cluster, receivers, queue, targets, chain, replay, admin, shutdown, telemetry } = config;
    map([
        ("cluster", cluster_node(cluster)),
        ("receivers", map([("otlp", receiver(receivers))])),
        ("queue", queue_node(queue)),
        ("targets", names(targets.iter().map(|target| (target.name.as_str(), target_node(target))))),
        ("chain", chain_node(chain)),
        ("replay", replay_node(replay)),
        ("admin", admin_node(admin)),
        ("shutdown", shutdown_node(shutdown)),
        ("telemetry", telemetry_node(telemetry)),
    ])
}

fn cluster_node(config: &ClusterConfig) -> Node {
    let ClusterConfig { name, region, environment, attributes, action } = config;
    let action = match action {
        TagAction::Insert => "insert",
        TagAction::Upsert => "upsert",
        TagAction::Off => "off",
    };
    map([
        ("name", text(name)),
        ("region", text(region)),
        ("environment", text(environment)),
        ("attributes", names(attributes.iter().map(|(key, value)| (key.as_str(), text(value))))),
        ("action", word(action)),
    ])
}

fn receiver(config: &ReceiverConfig) -> Node {
    let ReceiverConfig { grpc, http, auth, max_inflight, max_connections, forward_headers, allow_credentials } = config;
    let grpc = grpc.as_ref().map(|GrpcConfig { endpoint, max_request, max_connection_age, keepalive, tls }| {
        map([
            ("endpoint", text(endpoint)),
            ("max_recv_msg_size_mib", word(max_request >> 20)),
            ("max_connection_age", duration(*max_connection_age)),
            ("keepalive", duration(*keepalive)),
            ("tls", door_tls(tls.as_ref())),
        ])
    });
    let http = http.as_ref().map(|HttpConfig { endpoint, max_request, max_connection_age, read_timeout, tls }| {
        map([
            ("endpoint", text(endpoint)),
            ("max_request_body_size", size(*max_request)),
            ("max_connection_age", duration(*max_connection_age)),
            ("read_timeout", duration(*read_timeout)),
            ("tls", door_tls(tls.as_ref())),
        ])
    });
    let doors = [("grpc", grpc), ("http", http)].into_iter().filter_map(|(key, door)| Some((key, door?)));
    let DoorAuth { bearer_token_file, basic_file } = auth;
    map([
        ("protocols", names(doors)),
        ("auth", map([("bearer_token_file", file(bearer_token_file)), ("basic_file", file(basic_file))])),
        ("max_inflight", size(*max_inflight)),
        ("max_connections", word(max_connections)),
        ("forward_headers", list(forward_headers.iter().map(text))),
        ("allow_credentials", word(allow_credentials)),
    ])
}

fn door_tls(tls: Option<&DoorTls>) -> Node {
    let (cert, key, ca, min_version) = match tls {
        Some(DoorTls { cert_file, key_file, client_ca_file, min_version }) => {
            (path(cert_file), path(key_file), file(client_ca_file), *min_version)
        }
        None => (text(""), text(""), text(""), TlsVersion::default()),
    };
    let min_version = text(min_version.as_str());
    map([("cert_file", cert), ("key_file", key), ("client_ca_file", ca), ("min_version", min_version)])
}

fn queue_node(config: &QueueConfig) -> Node {
    let QueueConfig {
        directory,
        durability,
        sync_interval,
        max_size,
        reserve,
        memory_limit,
        max_age,
        when_full,
        signals,
        dead_letters: DeadLetterConfig { max_size: dead_size, max_age: dead_age },
    } = config;
    let max_size = match max_size {
        QueueSize::Bytes(bytes) => size(*bytes),
        QueueSize::Share(part) => share(*part),
    };
    let signals = Signal::ALL.map(|signal| {
        let SignalQueue { max_age, when_full, order, share: part } = &signals[signal.index()];
        let order = match order {
            Order::FreshFirst => "fresh_first",
            Order::Fifo => "fifo",
        };
        let node = map([
            ("max_age", max_age.map_or_else(nothing, duration)),
            ("when_full", when_full.map_or_else(nothing, full)),
            ("order", word(order)),
            ("share", share(*part)),
        ]);
        (signal.as_str(), node)
    });
    map([
        ("directory", path(directory)),
        ("durability", word(durability.as_str())),
        ("sync_interval", duration(*sync_interval)),
        ("max_size", max_size),
        ("reserve", reserve.map_or_else(|| word("auto"), size)),
        ("memory_limit", memory_limit.map_or_else(|| word("auto"), size)),
        ("max_age", duration(*max_age)),
        ("when_full", full(*when_full)),
        ("signals", names(signals)),
        ("dead_letters", map([("max_size", size(*dead_size)), ("max_age", duration(*dead_age))])),
    ])
}

fn full(when: WhenFull) -> Node {
    word(match when {
        WhenFull::Backpressure => "backpressure",
        WhenFull::DropOldest => "drop_oldest",
    })
}

fn target_node(config: &TargetConfig) -> Node {
    let TargetConfig {
        name: _,
        kind,
        cluster,
        replay_to_primary,
        retry,
        health,
        breaker,
        max_concurrency,
        throttle_patience,
        refusal_patience,
        on_endpoint_error,
        strict_otlp,
    } = config;
    let (mut entries, connections) = match kind {
        TargetKind::Network(network) => (network_entries(network), network.connections),
        TargetKind::File(file) => (file_entries(file), 2),
    };
    let on_endpoint_error = match on_endpoint_error {
        EndpointError::Hold => "hold",
        EndpointError::Dead => "dead",
        EndpointError::Drop => "drop",
    };
    entries.extend([
        ("cluster", text(cluster)),
        ("replay_to_primary", word(replay_to_primary)),
        ("retry", retry_node(retry)),
        ("health", health_node(health)),
        ("breaker", breaker_node(breaker)),
        ("concurrency", map([("max", word(max_concurrency)), ("connections", word(connections))])),
        ("throttle_patience", duration(*throttle_patience)),
        ("refusal_patience", duration(*refusal_patience)),
        ("on_endpoint_error", word(on_endpoint_error)),
        ("strict_otlp", word(strict_otlp)),
    ]);
    names(entries)
}

fn network_entries(config: &NetworkConfig) -> Vec<(&'static str, Node)> {
    let NetworkConfig {
        protocol,
        endpoints,
        accepts,
        timeout,
        headers,
        auth: TargetAuth { bearer_token_file, basic_file },
        proxy_url,
        tls: TlsConfig { insecure, ca_file, cert_file, key_file, server_name_override, insecure_skip_verify },
        connections: _,
        merge: MergeConfig { below, up_to },
    } = config;
    let mut entries = Vec::new();
    match protocol {
        Protocol::OtlpGrpc => entries.extend([("protocol", word("otlp_grpc")), ("endpoint", text(&endpoints[0]))]),
        Protocol::OtlpHttp => {
            entries.push(("protocol", word("otlp_http")));
            let keys = ["traces_endpoint", "metrics_endpoint", "logs_endpoint"];
            entries.extend(keys.into_iter().zip(endpoints.iter().map(text)));
        }
    }
    let tls = map([
        ("insecure", word(insecure)),
        ("ca_file", file(ca_file)),
        ("cert_file", file(cert_file)),
        ("key_file", file(key_file)),
        ("server_name_override", text(server_name_override.as_deref().unwrap_or_default())),
        ("insecure_skip_verify", word(insecure_skip_verify)),
    ]);
    entries.extend([
        ("accepts", list(accepts.iter().map(|encoding: &Encoding| word(encoding.as_str())))),
        ("timeout", duration(*timeout)),
        ("headers", names(headers.iter().map(|(name, secret)| (name.as_str(), text(secret.to_string()))))),
        ("auth", map([("bearer_token_file", file(bearer_token_file)), ("basic_file", file(basic_file))])),
        ("proxy_url", text(masked(proxy_url.as_deref().unwrap_or_default()))),
        ("tls", tls),
        ("merge", map([("below", size(*below)), ("up_to", size(*up_to))])),
    ]);
    entries
}

/// A URL without its user and password.
fn masked(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}***{}", &url[..scheme + 3], &url[at..]),
        _ => url.to_owned(),
    }
}

fn file_entries(config: &FileConfig) -> Vec<(&'static str, Node)> {
    let FileConfig { path: file, max_file, max_age, max_total } = config;
    let rotation = map([
        ("max_megabytes", word(max_file >> 20)),
        ("max_days", word(max_age.as_secs() / 86_400)),
        ("max_total", size(*max_total)),
    ]);
    vec![("protocol", word("file")), ("path", path(file)), ("format", word("otlp_json")), ("rotation", rotation)]
}

fn retry_node(config: &RetryConfig) -> Node {
    let RetryConfig { initial_interval, multiplier, max_interval, randomization_factor, extra_retryable } = config;
    map([
        ("initial_interval", duration(*initial_interval)),
        ("multiplier", word(multiplier)),
        ("max_interval", duration(*max_interval)),
        ("randomization_factor", word(randomization_factor)),
        ("extra_retryable", list(extra_retryable.iter().map(word))),
    ])
}

fn health_node(config: &HealthConfig) -> Node {
    let HealthConfig { probe, path, interval, timeout, unhealthy_after, healthy_after } = config;
    let probe = match probe {
        Probe::Auto => "auto",
        Probe::Connect => "connect",
        Probe::Off => "off",
    };
    map([
        ("probe", word(probe)),
        ("path", text(path)),
        ("interval", duration(*interval)),
        ("timeout", duration(*timeout)),
        ("unhealthy_after", word(unhealthy_after)),
        ("healthy_after", word(healthy_after)),
    ])
}

fn breaker_node(config: &BreakerConfig) -> Node {
    let BreakerConfig {
        consecutive_failures,
        failure_ratio,
        window,
        min_calls,
        open_for,
        max_open_for,
        half_open_successes,
        ramp,
    } = config;
    map([
        ("consecutive_failures", word(consecutive_failures)),
        ("failure_ratio", share(*failure_ratio)),
        ("window", duration(*window)),
        ("min_calls", word(min_calls)),
        ("open_for", duration(*open_for)),
        ("max_open_for", duration(*max_open_for)),
        ("half_open_successes", word(half_open_successes)),
        ("ramp", duration(*ramp)),
    ])
}

/// The chain of traces stands for all, and signals that differ from it are listed.
fn chain_node(config: &ChainConfig) -> Node {
    let ChainConfig { signals, failover_after, min_stay, fallback_takes_backlog } = config;
    let entries = |SignalChain { primary, fallback }: &SignalChain| {
        [("primary", text(primary)), ("fallback", list(fallback.iter().map(text)))]
    };
    let whole = &signals[0];
    let others = Signal::ALL.into_iter().zip(signals).filter(|(_, chain)| *chain != whole);
    let mut nodes = entries(whole).to_vec();
    nodes.extend([
        ("failover_after", duration(*failover_after)),
        ("min_stay", duration(*min_stay)),
        ("fallback_takes", word(if *fallback_takes_backlog { "all" } else { "fresh" })),
        ("signals", names(others.map(|(signal, chain)| (signal.as_str(), map(entries(chain)))))),
    ]);
    names(nodes)
}

fn replay_node(config: &ReplayConfig) -> Node {
    let ReplayConfig { rate, fresh_share } = config;
    let rate = match rate {
        ReplayRate::Auto => word("auto"),
        ReplayRate::BytesPerSecond(bytes) => size(*bytes),
    };
    map([("rate", rate), ("fresh_share", share(*fresh_share))])
}

fn admin_node(config: &AdminConfig) -> Node {
    let AdminConfig { endpoint, token_file } = config;
    map([("endpoint", text(endpoint)), ("token_file", file(token_file))])
}

fn shutdown_node(config: &ShutdownConfig) -> Node {
    let ShutdownConfig { linger, timeout } = config;
    map([("linger", duration(*linger)), ("timeout", duration(*timeout))])
}

fn telemetry_node(config: &TelemetryConfig) -> Node {
    let TelemetryConfig { log, log_format, heartbeat, traces_endpoint, traces_sample } = config;
    let format = match log_format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    map([
        ("log", text(log)),
        ("log_format", word(format)),
        ("heartbeat", heartbeat.map_or_else(|| word("off"), duration)),
        ("traces", map([("endpoint", text(traces_endpoint)), ("sample", share(*traces_sample))])),
    ])
}

fn map<const N: usize>(entries: [(&str, Node); N]) -> Node {
    names(entries)
}

fn names<'k>(entries: impl IntoIterator<Item = (&'k str, Node)>) -> Node {
    let entry = |(key, value): (&str, Node)| Entry { key: key.to_owned(), at: Place::Nowhere, value };
    Node { at: Place::Nowhere, value: Value::Map(entries.into_iter().map(entry).collect()) }
}

fn list(items: impl Iterator<Item = Node>) -> Node {
    Node { at: Place::Nowhere, value: Value::List(items.collect()) }
}

fn text(text: impl AsRef<str>) -> Node {
    Node::quoted(Place::Nowhere, text.as_ref())
}

/// A number, bool, or word of our own.
#[expect(clippy::needless_pass_by_value, reason = "numbers are passed as they are")]
fn word(word: impl ToString) -> Node {
    Node::plain(Place::Nowhere, word.to_string())
}

fn nothing() -> Node {
    word("~")
}

fn duration(duration: Duration) -> Node {
    word(format_duration(duration))
}

fn size(bytes: u64) -> Node {
    word(ByteSize(bytes))
}

/// Four digits behind the point are more than anybody sets.
fn share(share: f64) -> Node {
    word(format!("{}%", (share * 1e6).round() / 1e4))
}

fn path(path: &Path) -> Node {
    text(path.to_string_lossy())
}

fn file(path: &Option<PathBuf>) -> Node {
    text(path.as_deref().map(Path::to_string_lossy).unwrap_or_default())
}
