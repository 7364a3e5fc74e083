//! `cluster`, `admin`, `shutdown`, `telemetry`

use super::endpoint::ParsedEndpoint;
use super::shape::bind;
use crate::batch::Signal;
use crate::config::logfilter;
use crate::config::mistake::Mistake;
use crate::config::process::{AdminConfig, ClusterConfig, LogFormat, ShutdownConfig, TagAction, TelemetryConfig};
use crate::config::reader::{Section, Share, describe};
use crate::config::targets::{NetworkConfig, Protocol};
use crate::config::tree::Value;
use crate::units::parse_duration;

pub(super) fn cluster(section: &mut Section<'_>) -> ClusterConfig {
    let mut attributes = Vec::new();
    for entry in section.names("attributes") {
        match &entry.value.value {
            Value::Scalar(scalar) => attributes.push((entry.key.clone(), scalar.text.clone())),
            other => {
                let what = format!("`{}.attributes.{}` is {}", section.path.real, entry.key, describe(other));
                section.report.mistake(Mistake::new(entry.value.at.clone(), what).expected("a text"));
            }
        }
    }
    ClusterConfig {
        name: header_text(section, "name"),
        region: section.text("region", ""),
        environment: section.text("environment", ""),
        attributes,
        action: section.choice(
            "action",
            TagAction::Insert,
            &[("insert", TagAction::Insert), ("upsert", TagAction::Upsert), ("off", TagAction::Off)],
        ),
    }
}

/// A text that is sent as the value of a header.
pub(super) fn header_text(section: &mut Section<'_>, key: &'static str) -> String {
    section.scalar(key, String::new(), "a text of printable ASCII, as it is sent in a header", |scalar| {
        scalar.text.chars().all(|c| c == ' ' || c.is_ascii_graphic()).then(|| scalar.text.clone())
    })
}

pub(super) fn admin(section: &mut Section<'_>) -> AdminConfig {
    AdminConfig {
        endpoint: bind(section, "endpoint", &AdminConfig::default().endpoint),
        token_file: section.optional_path("token_file"),
    }
}

pub(super) fn shutdown(section: &mut Section<'_>) -> ShutdownConfig {
    let default = ShutdownConfig::default();
    let config = ShutdownConfig {
        linger: section.duration("linger", default.linger),
        timeout: section.interval("timeout", default.timeout),
    };
    if config.linger >= config.timeout {
        let what = "`shutdown.linger` is not shorter than `shutdown.timeout`";
        let mistake = Mistake::new(section.place_of("linger"), what);
        section.report.mistake(mistake.expected("time left after the linger, to end what is in flight"));
    }
    config
}

pub(super) fn telemetry(section: &mut Section<'_>) -> TelemetryConfig {
    let default = TelemetryConfig::default();
    let (traces_endpoint, traces_sample) = section.section("traces", |section| {
        let endpoint =
            section.scalar("endpoint", String::new(), "https://host:port, http://host:port or host:port", |scalar| {
                let sound = scalar.text.is_empty() || traces_target(&scalar.text).is_some();
                sound.then(|| scalar.text.clone())
            });
        (endpoint, section.share("sample", default.traces_sample, Share::Any))
    });
    TelemetryConfig {
        log: section.scalar("log", default.log, logfilter::EXPECTED, |scalar| {
            logfilter::directives(&scalar.text).map(|_| scalar.text.clone())
        }),
        log_format: section.choice(
            "log_format",
            default.log_format,
            &[("text", LogFormat::Text), ("json", LogFormat::Json)],
        ),
        heartbeat: section.scalar("heartbeat", None, "off, or a duration such as 30s", |scalar| {
            match scalar.text.as_str() {
                "off" => Some(None),
                text => parse_duration(text).filter(|interval| !interval.is_zero()).map(Some),
            }
        }),
        traces_endpoint,
        traces_sample,
    }
}

/// Where the gateway's own spans go: OTLP/HTTP at port 4318 or below a path, else OTLP/gRPC. `None` for a text that is no endpoint.
pub(in crate::config) fn traces_target(endpoint: &str) -> Option<NetworkConfig> {
    let endpoint = ParsedEndpoint::parse(endpoint, false).ok()?;
    let by_path = if endpoint.has_path() { Protocol::OtlpHttp } else { Protocol::OtlpGrpc };
    let protocol = endpoint.protocol().unwrap_or(by_path);
    let urls = match protocol {
        Protocol::OtlpGrpc if endpoint.has_path() => return None,
        Protocol::OtlpGrpc => [(); 3].map(|()| endpoint.base()),
        Protocol::OtlpHttp => Signal::ALL.map(|signal| endpoint.below(signal)),
    };
    Some(NetworkConfig::new(protocol, urls))
}
