//! What keys of an OpenTelemetry Collector's file are called here, so that a message can say it.
//!
//! Key names follow the collector where the meaning is the same; this table is for those where it is not.

use super::mistake::Mistake;
use super::reader::Report;
use super::tree::Entry;

/// Section (pattern), key, and what it is called here. `*` alone as section stands for any.
const KEYS: &[(&str, &str, &str)] = &[
    ("", "exporters", "exporters are `targets` here: `targets: {hub: {endpoint: \"https://hub:4317\"}}`"),
    (
        "",
        "service",
        "there are no pipelines here: `chain: {primary: hub, fallback: [other]}` says who gets the data, and `telemetry.log` sets the log level",
    ),
    (
        "",
        "processors",
        "there are no processors here: requests are forwarded as they came; `cluster` stamps resource attributes, and memory is bounded by `receivers.otlp.max_inflight`",
    ),
    (
        "",
        "extensions",
        "there are no extensions here: health checks are part of `admin`, storage is `queue.directory`, credentials are `auth` of a target or a receiver",
    ),
    ("", "connectors", "there are no connectors here: failover is `chain: {primary: hub, fallback: [other]}`"),
    ("", "pipelines", "there are no pipelines here: `chain: {primary: hub, fallback: [other]}` says who gets the data"),
    ("", "sending_queue", "the queue is one for all targets: `queue` at the top, with `max_size` and `directory`"),
    ("receivers", "*", "spillway receives OTLP only: `receivers.otlp`"),
    (
        "receivers.otlp.protocols.*",
        "max_concurrent_streams",
        "`receivers.otlp.max_inflight` and `max_connections` bound what comes in",
    ),
    (
        "receivers.otlp.protocols.*",
        "include_metadata",
        "`receivers.otlp.forward_headers` names the client headers that are sent on",
    ),
    ("receivers.otlp.protocols.*", "auth", "credentials of clients are `receivers.otlp.auth`, for both protocols"),
    ("receivers.otlp.protocols.http", "cors", "browsers are not served here; put a proxy in front"),
    ("receivers.otlp.protocols.http", "max_recv_msg_size_mib", "over HTTP it is `max_request_body_size: 64MiB`"),
    ("receivers.otlp.protocols.grpc", "max_request_body_size", "over gRPC it is `max_recv_msg_size_mib: 64`"),
    ("receivers.otlp", "endpoint", "it belongs under `receivers.otlp.protocols.grpc` or `.http`"),
    (
        "targets.*",
        "sending_queue",
        "the queue is one for all targets: `queue` at the top, with `max_size` and `directory`; it is always on and always durable",
    ),
    ("targets.*", "retry_on_failure", "it is `retry` here, with the same keys but without an end: nothing is given up"),
    (
        "targets.*",
        "compression",
        "bodies keep the encoding they came in: `accepts: [gzip]` says what the target takes, `accepts: []` sends plain",
    ),
    ("targets.*", "encoding", "bodies are sent as protobuf; `protocol` chooses otlp_grpc or otlp_http"),
    ("targets.*", "num_consumers", "it is `concurrency.max` here"),
    ("targets.*", "queue_size", "the queue is one for all targets: `queue.max_size`, in bytes"),
    ("targets.*", "max_idle_conns", "it is `concurrency.connections` here"),
    ("targets.*", "max_conns_per_host", "it is `concurrency.connections` here"),
    (
        "targets.*",
        "balancer_name",
        "`concurrency.connections` opens several connections, and names are resolved again every 30 s",
    ),
    ("targets.*", "keepalive", "connections are kept alive without being told to"),
    ("targets.*", "wait_for_ready", "a target that is not ready is waited for; the queue keeps the data"),
    ("targets.*", "bearer_token_file", "it belongs under `auth` of the target"),
    ("targets.*", "insecure", "it belongs under `tls` of the target"),
    ("targets.*", "ca_file", "it belongs under `tls` of the target"),
    ("targets.*", "cert_file", "it belongs under `tls` of the target"),
    ("targets.*", "key_file", "it belongs under `tls` of the target"),
    (
        "targets.*.retry",
        "max_elapsed_time",
        "nothing is given up here; only `queue.max_age` and the quota end a batch, counted",
    ),
    ("targets.*.retry", "enabled", "repeats are always on; only `queue.max_age` and the quota end a batch, counted"),
    ("targets.*.auth", "authenticator", "`bearer_token_file` or `basic_file` name the credentials themselves"),
    ("targets.*.tls", "insecure_skip_verification", "it is `insecure_skip_verify` here"),
    ("targets.*.tls", "min_version", "TLS 1.2 and 1.3 are spoken"),
    ("targets.*.tls", "ca_pem", "certificates are read from files: `ca_file`"),
    ("targets.*.tls", "cert_pem", "certificates are read from files: `cert_file`"),
    ("targets.*.tls", "key_pem", "keys are read from files: `key_file`"),
    ("queue", "storage", "the queue has its own store in `queue.directory`"),
    ("queue", "queue_size", "it is `max_size` here, in bytes"),
    ("queue", "num_consumers", "it is `targets.NAME.concurrency.max` here"),
    ("queue", "enabled", "the queue is always on"),
    ("queue", "block_on_overflow", "it is `when_full: backpressure` here"),
    ("queue", "sizer", "`max_size` counts bytes"),
    ("chain", "priority_levels", "it is `primary` and `fallback` here"),
    ("chain", "retry_interval", "`targets.NAME.health` and `targets.NAME.breaker` say how a target is tried again"),
    ("telemetry", "logs", "the level is `telemetry.log` here, the form `telemetry.log_format`"),
    ("telemetry", "metrics", "metrics are at /metrics of `admin.endpoint`"),
    ("admin", "port", "it is `endpoint: 0.0.0.0:8890` here"),
];

/// What a key that is none of a section's own is called here, if collector files have it.
pub(super) fn advice_on_key(section: &str, key: &str) -> Option<String> {
    let fits = |pattern: &str| {
        pattern == section
            || (pattern.ends_with(".*")
                && section.starts_with(&pattern[..pattern.len() - 1])
                && !section[pattern.len() - 1..].contains('.'))
    };
    let known = KEYS.iter().find(|(pattern, name, _)| fits(pattern) && (*name == key || *name == "*"));
    known.map(|(_, _, advice)| (*advice).to_owned())
}

/// What to write in place of a value of the collector's form.
pub(super) fn advice_on_value(path: &str) -> Option<String> {
    let advice = match path {
        "receivers.otlp.protocols.grpc.keepalive" => {
            "here `keepalive: 30s` is the interval of pings, and `max_connection_age` stands beside it"
        }
        "targets.*.auth" => "here it is `auth: {bearer_token_file: /path}`",
        _ => return None,
    };
    Some(advice.to_owned())
}

/// The word that is used here for one that is used elsewhere, as the value of a key.
pub(super) fn word(path: &str, word: &str) -> Option<&'static str> {
    match (path, word) {
        ("targets.*.protocol", "otlp" | "grpc" | "otlpgrpc") => Some("otlp_grpc"),
        ("targets.*.protocol", "otlphttp" | "http" | "http/protobuf") => Some("otlp_http"),
        ("queue.when_full", "block") => Some("backpressure"),
        _ => None,
    }
}

/// The names under `exporters:`, each told what becomes of it.
pub(super) fn exporters(section: &str, entry: &Entry, report: &Report) {
    if !section.is_empty() || entry.key != "exporters" {
        return;
    }
    for exporter in entry.value.entries() {
        let what = format!("`{}` is a name of the collector's", exporter.key);
        report.mistake(Mistake::new(exporter.at.clone(), what).hint(advice_on_name(&exporter.key)));
    }
}

/// What `otlp/hub` is called here.
pub(super) fn advice_on_name(name: &str) -> String {
    let (kind, name) = name.split_once('/').unwrap_or((name, "hub"));
    match kind {
        "otlp" | "otlp_grpc" | "otlpgrpc" => {
            format!("here it is `{name}` under `targets`, with `protocol: otlp_grpc`")
        }
        "otlphttp" | "otlp_http" => format!("here it is `{name}` under `targets`, with `protocol: otlp_http`"),
        "file" => format!("here it is `{name}` under `targets`, with `protocol: file` and a `path`"),
        _ => "targets are otlp_grpc, otlp_http or file".to_owned(),
    }
}
