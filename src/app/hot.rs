//! Which keys are in force as soon as they are read, and which hold from the next start on.

use serde_json::Value;

use crate::config::Config;

/// Keys, or sections of them, that take effect while the gateway runs; `*` is any name. A key that is not here waits for the next
/// start, so that one whose feature forgets about changes is told of rather than ignored.
const HOT: &[&str] = &[
    "receivers.otlp.protocols.grpc.max_recv_msg_size_mib",
    "receivers.otlp.protocols.grpc.max_connection_age",
    "receivers.otlp.protocols.grpc.keepalive",
    "receivers.otlp.protocols.http.max_request_body_size",
    "receivers.otlp.protocols.http.max_connection_age",
    "receivers.otlp.protocols.http.read_timeout",
    "receivers.otlp.max_inflight",
    "receivers.otlp.max_connections",
    "receivers.otlp.forward_headers",
    "receivers.otlp.allow_credentials",
    "queue.max_size",
    "queue.reserve",
    "queue.max_age",
    "queue.when_full",
    "queue.signals.*.max_age",
    "queue.signals.*.when_full",
    "queue.signals.*.share",
    "queue.dead_letters",
    "targets",
    "chain",
    "replay",
    "telemetry.log",
];

/// The keys whose change is for the next start, dotted.
pub(super) fn restart_needed(started: &Config, read: &Config) -> Vec<String> {
    let mut keys = Vec::new();
    compare("", &started.to_json(), &read.to_json(), &mut keys);
    keys.retain(|key| !is_hot(key));
    keys
}

fn is_hot(key: &str) -> bool {
    HOT.iter().any(|pattern| fits(pattern, key))
}

/// Whether a key is the pattern's, or one in its section.
fn fits(pattern: &str, key: &str) -> bool {
    let mut names = key.split('.');
    pattern.split('.').all(|part| names.next().is_some_and(|name| part == "*" || part == name))
}

fn compare(path: &str, one: &Value, other: &Value, keys: &mut Vec<String>) {
    match (one.as_object(), other.as_object()) {
        (Some(one), Some(other)) => {
            let all = one.keys().chain(other.keys().filter(|key| !one.contains_key(*key)));
            for key in all {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let nothing = &Value::Null;
                compare(&path, one.get(key).unwrap_or(nothing), other.get(key).unwrap_or(nothing), keys);
            }
        }
        _ if one != other => keys.push(path.to_owned()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;

    const REFERENCE: &str = include_str!("../../config/reference.yaml");

    fn config(text: &str) -> Config {
        let text = format!("targets: {{hub: {{endpoint: \"http://hub:4317\"}}}}\n{text}");
        Config::load(&Source::Text { name: "test".to_owned(), text }, &[], &|_| None).unwrap().config
    }

    /// Keys of every section change.
    /// Guarantees that those which hold until the next start are named, and those which do not are not.
    #[test]
    fn what_needs_a_restart_is_named() {
        let started = config("");
        assert_eq!(restart_needed(&started, &started), Vec::<String>::new());
        let read = config(
            "chain: {min_stay: 1s}\nreplay: {fresh_share: 80%}\n\
             receivers: {otlp: {protocols: {grpc: {endpoint: \"127.0.0.1:1\", keepalive: 1s}}, max_inflight: 1MiB}}\n\
             queue: {max_size: 3GiB, directory: /elsewhere, signals: {logs: {share: 50%, order: fifo}}, \
                     dead_letters: {max_age: 1d}}\n\
             admin: {endpoint: \"127.0.0.1:2\"}\ntelemetry: {log: debug, log_format: json}\n",
        );
        let mut named = restart_needed(&started, &read);
        named.sort();
        assert_eq!(
            named,
            [
                "admin.endpoint",
                "queue.directory",
                "queue.signals.logs.order",
                "receivers.otlp.protocols.grpc.endpoint",
                "receivers.otlp.protocols.http",
                "telemetry.log_format",
            ]
        );
    }

    /// Every key of config/reference.yaml, with the mark `[restart]` at it or at a section around it.
    /// Guarantees that the mark tells the truth, and that no line of the table stands for nothing.
    #[test]
    fn the_reference_marks_what_waits_for_a_restart() {
        let mut path: Vec<(&str, bool)> = Vec::new();
        let mut keys = Vec::new();
        for line in REFERENCE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, rest) = line.trim_start().split_once(':').unwrap();
            path.truncate((line.len() - line.trim_start().len()) / 2);
            path.push((name, line.contains("[restart]")));
            let is_section = rest.trim_start().is_empty() || rest.trim_start().starts_with('#');
            if !is_section {
                let key: Vec<_> = path.iter().map(|(name, _)| *name).collect();
                keys.push((key.join("."), path.iter().any(|(_, marked)| *marked)));
            }
        }
        assert!(keys.len() > 80, "{keys:?}");
        for (key, marked) in &keys {
            assert_eq!(*marked, !is_hot(key), "{key}");
        }
        for pattern in HOT {
            assert!(keys.iter().any(|(key, _)| fits(pattern, key)), "{pattern}");
        }
    }
}
