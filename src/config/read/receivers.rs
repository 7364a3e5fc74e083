//! `receivers.otlp`

use std::time::Duration;

use super::shape::{bind, header_name};
use crate::config::mistake::{Mistake, Place};
use crate::config::reader::Section;
use crate::config::receivers::{DoorAuth, DoorTls, GrpcConfig, HttpConfig, ReceiverConfig, TlsVersion};

/// Lengths of bodies are kept in 32 bits.
const MAX_REQUEST: u64 = 2 << 30;

pub(super) fn read(section: &mut Section<'_>) -> ReceiverConfig {
    let default = ReceiverConfig::default();
    let (grpc, http) = section.section("protocols", protocols);
    let auth = section.section("auth", |section| DoorAuth {
        bearer_token_file: section.optional_path("bearer_token_file"),
        basic_file: section.optional_path("basic_file"),
    });
    let max_inflight = section.size("max_inflight", default.max_inflight, 1 << 20..=u64::MAX);
    let max_connections = section.count("max_connections", default.max_connections as u64, 1..=1_000_000) as usize;
    let allow_credentials = section.bool("allow_credentials", default.allow_credentials);
    let forward_headers = forward_headers(section, allow_credentials);
    ReceiverConfig { grpc, http, auth, max_inflight, max_connections, forward_headers, allow_credentials }
}

/// As in the collector, listing one protocol leaves the other out. A key inside one that an option set lists nothing.
fn protocols(section: &mut Section<'_>) -> (Option<GrpcConfig>, Option<HttpConfig>) {
    let listed = |key: &str| section.entries.iter().any(|entry| entry.key == key);
    let both = section.place == Place::Nowhere || !(listed("grpc") || listed("http"));
    let (has_grpc, has_http) = (listed("grpc"), listed("http"));
    let grpc = section.section("grpc", grpc);
    let http = section.section("http", http);
    ((both || has_grpc).then_some(grpc), (both || has_http).then_some(http))
}

fn grpc(section: &mut Section<'_>) -> GrpcConfig {
    let default = GrpcConfig::default();
    GrpcConfig {
        endpoint: bind(section, "endpoint", &default.endpoint),
        max_request: section.count("max_recv_msg_size_mib", default.max_request >> 20, 1..=MAX_REQUEST >> 20) << 20,
        max_connection_age: section.interval("max_connection_age", default.max_connection_age),
        keepalive: section.interval("keepalive", default.keepalive),
        tls: section.section("tls", tls),
    }
}

fn http(section: &mut Section<'_>) -> HttpConfig {
    let default = HttpConfig::default();
    HttpConfig {
        endpoint: bind(section, "endpoint", &default.endpoint),
        max_request: section.size("max_request_body_size", default.max_request, 1 << 10..=MAX_REQUEST),
        max_connection_age: section.interval("max_connection_age", default.max_connection_age),
        read_timeout: section.interval("read_timeout", default.read_timeout).max(Duration::from_millis(1)),
        tls: section.section("tls", tls),
    }
}

fn tls(section: &mut Section<'_>) -> Option<DoorTls> {
    let cert_file = section.optional_path("cert_file");
    let key_file = section.optional_path("key_file");
    let client_ca_file = section.optional_path("client_ca_file");
    let min_version = section.choice("min_version", TlsVersion::default(), &TlsVersion::ALL);
    match (cert_file, key_file) {
        (Some(cert_file), Some(key_file)) => Some(DoorTls { cert_file, key_file, client_ca_file, min_version }),
        (None, None) if client_ca_file.is_none() && min_version == TlsVersion::default() => None,
        _ => {
            let what = format!("`{}` is incomplete", section.path.real);
            section.report.mistake(Mistake::new(section.place.clone(), what).expected("both cert_file and key_file"));
            None
        }
    }
}

fn forward_headers(section: &mut Section<'_>, allow_credentials: bool) -> Vec<String> {
    let mut names = Vec::new();
    for (place, word) in section.words("forward_headers").unwrap_or_default() {
        let Some(name) = header_name(section, &place, &word) else { continue };
        if !allow_credentials && carries_credentials(&name) {
            let mistake =
                Mistake::new(place, format!("the header `{name}` carries credentials, which would be stored on disk"));
            section.report.mistake(
                mistake.expected("headers without credentials").hint("`allow_credentials: true` beside it allows them"),
            );
        } else if names.contains(&name) {
            section.report.mistake(Mistake::new(place, format!("the header `{name}` is listed twice")));
        } else {
            names.push(name);
        }
    }
    names
}

fn carries_credentials(name: &str) -> bool {
    let parts = ["authorization", "cookie", "token", "key", "secret", "password"];
    parts.iter().any(|part| name.contains(part))
}
