//! The sections inside a target, each with its ranges.

use std::time::Duration;

use super::shape::header_name;
use crate::batch::Encoding;
use crate::config::mistake::Mistake;
use crate::config::nearest::nearest;
use crate::config::reader::{Section, Share, describe};
use crate::config::secret::Secret;
use crate::config::targets::{
    BreakerConfig, FileConfig, HealthConfig, MergeConfig, Probe, RetryConfig, TargetAuth, TlsConfig,
};
use crate::config::tree::Value;
use crate::otlp::status::code;
use crate::units::{ByteSize, format_duration};

pub(super) fn tls(section: &mut Section<'_>) -> TlsConfig {
    let tls = TlsConfig {
        insecure: section.bool("insecure", false),
        ca_file: section.optional_path("ca_file"),
        cert_file: section.optional_path("cert_file"),
        key_file: section.optional_path("key_file"),
        server_name_override: section.optional_text("server_name_override"),
        insecure_skip_verify: section.bool("insecure_skip_verify", false),
    };
    if tls.cert_file.is_some() != tls.key_file.is_some() {
        let what = format!("`{}` has only one of cert_file and key_file", section.path.real);
        section.report.mistake(Mistake::new(section.place.clone(), what).expected("both or neither"));
    }
    tls
}

pub(super) fn auth(section: &mut Section<'_>) -> TargetAuth {
    let auth = TargetAuth {
        bearer_token_file: section.optional_path("bearer_token_file"),
        basic_file: section.optional_path("basic_file"),
    };
    if auth.bearer_token_file.is_some() && auth.basic_file.is_some() {
        let what = format!("`{}` has both bearer_token_file and basic_file", section.path.real);
        section.report.mistake(Mistake::new(section.place.clone(), what).expected("one of them"));
    }
    auth
}

pub(super) fn accepts(section: &mut Section<'_>) -> Vec<Encoding> {
    let Some(words) = section.words("accepts") else { return vec![Encoding::Gzip] };
    let mut accepts = Vec::new();
    for (place, word) in words {
        match Encoding::from_wire(&word) {
            Some(encoding) if !word.is_empty() => accepts.push(encoding),
            _ => {
                let what = format!("`{}.accepts` names `{word}`", section.path.real);
                section.report.mistake(Mistake::new(place, what).expected("gzip, zstd, or [] to send always plain"));
            }
        }
    }
    accepts.dedup();
    accepts
}

pub(super) fn headers(section: &mut Section<'_>) -> Vec<(String, Secret)> {
    let mut headers: Vec<(String, Secret)> = Vec::new();
    for entry in section.names("headers") {
        let Some(name) = header_name(section, &entry.at, &entry.key) else { continue };
        let complain = |what: String, expected: &str| {
            section.report.mistake(Mistake::new(entry.value.at.clone(), what).expected(expected));
        };
        let path = format!("{}.headers.{}", section.path.real, entry.key);
        match &entry.value.value {
            Value::Scalar(_) if headers.iter().any(|(other, _)| *other == name) => {
                complain(format!("`{path}` is written twice, in upper and lower case"), "each header once");
            }
            // Never the value itself in a message.
            Value::Scalar(scalar) if http::HeaderValue::from_str(&scalar.text).is_err() => {
                complain(format!("`{path}` cannot be the value of a header"), "one line of text");
            }
            Value::Scalar(scalar) => headers.push((name, Secret::new(&scalar.text))),
            other => complain(format!("`{path}` is {}", describe(other)), "a text"),
        }
    }
    headers
}

pub(super) fn proxy_url(section: &mut Section<'_>) -> Option<String> {
    let text = section.optional_text("proxy_url")?;
    let usable = text.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    });
    if !usable {
        // The text may hold a password.
        let mistake = Mistake::new(
            section.place_of("proxy_url"),
            format!("`{}.proxy_url` is no URL of a proxy", section.path.real),
        );
        section.report.mistake(mistake.expected("http://host:port"));
        return None;
    }
    Some(text)
}

pub(super) fn retry(section: &mut Section<'_>) -> RetryConfig {
    let default = RetryConfig::default();
    let retry = RetryConfig {
        initial_interval: section.interval("initial_interval", default.initial_interval),
        multiplier: section.number("multiplier", default.multiplier, 1.0..=10.0),
        max_interval: section.interval("max_interval", default.max_interval),
        randomization_factor: section.number("randomization_factor", default.randomization_factor, 0.0..=1.0),
        extra_retryable: extra_retryable(section),
    };
    ordered(section, "initial_interval", retry.initial_interval, "max_interval", retry.max_interval);
    retry
}

fn extra_retryable(section: &mut Section<'_>) -> Vec<String> {
    let mut statuses = Vec::new();
    for (place, word) in section.words("extra_retryable").unwrap_or_default() {
        let http = word.parse::<u16>().is_ok_and(|status| (300..600).contains(&status));
        let grpc = word.to_ascii_uppercase();
        if http {
            statuses.push(word);
        } else if code::NAMES[1..].contains(&grpc.as_str()) {
            statuses.push(grpc);
        } else {
            let mistake = Mistake::new(place, format!("`{}.extra_retryable` names `{word}`", section.path.real));
            let mistake = mistake.expected("HTTP statuses such as 500, or gRPC codes such as INTERNAL");
            let near = nearest(&word, code::NAMES);
            section.report.mistake(Mistake { hint: near.map(|near| format!("did you mean `{near}`?")), ..mistake });
        }
    }
    statuses
}

/// Notes when the first of two durations is above the second.
fn ordered(section: &Section<'_>, low_key: &str, low: Duration, high_key: &str, high: Duration) {
    if low > high {
        let what = format!("`{}.{low_key}` is longer than `{high_key}`", section.path.real);
        let mistake = Mistake::new(section.place_of(low_key), what);
        section.report.mistake(mistake.expected(format!("at most {}", format_duration(high))));
    }
}

pub(super) fn health(section: &mut Section<'_>) -> HealthConfig {
    let default = HealthConfig::default();
    let probes = [("auto", Probe::Auto), ("connect", Probe::Connect), ("off", Probe::Off)];
    HealthConfig {
        probe: section.choice("probe", default.probe, &probes),
        path: section.scalar("path", default.path, "a path such as /healthz", |scalar| {
            (scalar.text.is_empty() || scalar.text.starts_with('/')).then(|| scalar.text.clone())
        }),
        interval: section.interval("interval", default.interval),
        timeout: section.interval("timeout", default.timeout),
        unhealthy_after: section.count("unhealthy_after", default.unhealthy_after.into(), 1..=1000) as u32,
        healthy_after: section.count("healthy_after", default.healthy_after.into(), 1..=1000) as u32,
    }
}

pub(super) fn breaker(section: &mut Section<'_>) -> BreakerConfig {
    let default = BreakerConfig::default();
    let breaker = BreakerConfig {
        consecutive_failures: section.count("consecutive_failures", default.consecutive_failures.into(), 1..=10_000)
            as u32,
        failure_ratio: section.share("failure_ratio", default.failure_ratio, Share::Positive),
        window: section.interval("window", default.window),
        min_calls: section.count("min_calls", default.min_calls.into(), 1..=10_000) as u32,
        open_for: section.interval("open_for", default.open_for),
        max_open_for: section.interval("max_open_for", default.max_open_for),
        half_open_successes: section.count("half_open_successes", default.half_open_successes.into(), 1..=1000) as u32,
        ramp: section.duration("ramp", default.ramp),
    };
    ordered(section, "open_for", breaker.open_for, "max_open_for", breaker.max_open_for);
    breaker
}

pub(super) fn merge(section: &mut Section<'_>) -> MergeConfig {
    let default = MergeConfig::default();
    let merge = MergeConfig {
        below: section.size("below", default.below, 0..=1 << 30),
        up_to: section.size("up_to", default.up_to, 0..=1 << 30),
    };
    if merge.below > merge.up_to {
        let what = format!("`{}.below` is above `up_to`", section.path.real);
        section.report.mistake(Mistake::new(section.place_of("below"), what).expected("at most `up_to`"));
    }
    merge
}

pub(super) fn file(section: &mut Section<'_>) -> Option<FileConfig> {
    let path = section.optional_path("path");
    section.choice("format", (), &[("otlp_json", ())]);
    let default = FileConfig::new("");
    let (max_file, max_age, max_total) = section.section("rotation", |section| {
        // The collector's megabytes are binary ones (lumberjack).
        let max_file = section.count("max_megabytes", default.max_file >> 20, 1..=1 << 20) << 20;
        let max_days = section.count("max_days", default.max_age.as_secs() / 86_400, 1..=3650);
        let max_total = section.size("max_total", default.max_total, 1 << 20..=u64::MAX);
        if max_total < max_file {
            let what = format!("`{}.max_total` is below one file of `max_megabytes`", section.path.real);
            let expected = format!("at least {}", ByteSize(max_file));
            section.report.mistake(Mistake::new(section.place_of("max_total"), what).expected(expected));
        }
        (max_file, Duration::from_secs(max_days * 86_400), max_total)
    });
    Some(FileConfig { path: path?, max_file, max_age, max_total })
}
