//! The endpoints of a target: which protocol they stand for, and the URL of each signal.

use super::endpoint::ParsedEndpoint;
use crate::batch::Signal;
use crate::config::mistake::{Mistake, Place};
use crate::config::reader::Section;
use crate::config::targets::{Protocol, TlsConfig};
use crate::config::tree::{Entry, Value};

/// What kind of target it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Network(Protocol),
    File,
}

/// The endpoint keys of a target as read, each with its place.
pub(super) struct Endpoints {
    base: Option<ParsedEndpoint>,
    signals: [Option<ParsedEndpoint>; 3],
    /// One of them could not be read; the mistake is noted.
    broken: bool,
}

impl Endpoints {
    pub(super) fn read(section: &mut Section<'_>, insecure: bool) -> Endpoints {
        let mut broken = false;
        let mut take = |key| {
            let text = section.optional_text(key)?;
            match ParsedEndpoint::parse(&text, insecure) {
                Ok(endpoint) => Some(endpoint),
                Err(why) => {
                    broken = true;
                    let what = format!("`{}` {why}", section.path.key(key).real);
                    let mistake = Mistake::new(section.place_of(key), what);
                    section.report.mistake(mistake.expected("https://host:port, http://host:port or host:port"));
                    None
                }
            }
        };
        let base = take("endpoint");
        let signals = [take("traces_endpoint"), take("metrics_endpoint"), take("logs_endpoint")];
        let wrong = |entry: &&Entry| entry.key.ends_with("endpoint") && !matches!(entry.value.value, Value::Scalar(_));
        broken |= section.entries.iter().any(|entry| wrong(&entry));
        Endpoints { base, signals, broken }
    }

    /// What the endpoints say about the protocol: the base's port, or that only `otlp_http` has one for each signal.
    pub(super) fn kind(&self) -> Option<Kind> {
        let protocol = match &self.base {
            Some(base) => base.protocol(),
            None if self.signals.iter().any(Option::is_some) => Some(Protocol::OtlpHttp),
            None => None,
        };
        protocol.map(Kind::Network)
    }

    pub(super) fn complain_about_protocol(&self, section: &Section<'_>, name: &str, key: &Place) {
        if self.broken {
            return;
        }
        let mistake = match &self.base {
            Some(_) => {
                let what = format!("`targets.{name}` needs a `protocol`, since its port is neither 4317 nor 4318");
                Mistake::new(section.place_of("endpoint"), what).expected("protocol: otlp_grpc or protocol: otlp_http")
            }
            None => {
                let mistake = Mistake::new(key.clone(), format!("`targets.{name}` has no endpoint"));
                let mistake = mistake.expected("endpoint: https://host:4317, or protocol: file with a path");
                match section.has("path") {
                    true => mistake.hint("a file target needs `protocol: file`"),
                    false => mistake,
                }
            }
        };
        section.report.mistake(mistake);
    }

    pub(super) fn urls(&self, section: &Section<'_>, name: &str, key: &Place, protocol: Protocol) -> [String; 3] {
        let complain = |place: Place, what: String, expected: &str| {
            section.report.mistake(Mistake::new(place, what).expected(expected));
        };
        if protocol == Protocol::OtlpGrpc {
            for signal in Signal::ALL.into_iter().filter(|signal| self.signals[signal.index()].is_some()) {
                let place = section.place_of(&format!("{signal}_endpoint"));
                let what = format!("`targets.{name}`: otlp_grpc has one endpoint for all signals");
                complain(place, what, &format!("a target of its own for {signal}, and chain.signals.{signal}"));
            }
            if self.base.as_ref().is_some_and(ParsedEndpoint::has_path) {
                let what = format!("`targets.{name}.endpoint` has a path, which gRPC does not know");
                complain(section.place_of("endpoint"), what, "https://host:port, or protocol: otlp_http");
            }
        }
        let missing = || {
            if !self.broken {
                let what = format!("`targets.{name}` has no endpoint");
                complain(key.clone(), what, "endpoint: https://host:port");
            }
            String::new()
        };
        Signal::ALL.map(|signal| match (&self.signals[signal.index()], &self.base) {
            (_, Some(base)) if protocol == Protocol::OtlpGrpc => base.base(),
            (Some(own), _) => own.exact(),
            (None, Some(base)) => base.below(signal),
            (None, None) => missing(),
        })
    }
}

/// Settings of `tls` that the scheme of the endpoint makes void.
pub(super) fn warn_about_tls(section: &Section<'_>, tls: &TlsConfig, endpoints: &[String; 3]) {
    let https = endpoints.iter().any(|url| url.starts_with("https://"));
    let path = &section.path.real;
    if https && tls.insecure {
        let what = format!("`{path}.tls.insecure` has no effect: the endpoint says https");
        section.report.warning(Mistake::new(section.place_of("tls"), what));
    }
    let wanted = tls.ca_file.is_some() || tls.cert_file.is_some() || tls.server_name_override.is_some();
    if !https && wanted {
        let what = format!("`{path}.tls` has no effect: the endpoint is plain http");
        section.report.warning(Mistake::new(section.place_of("tls"), what));
    }
    if https && tls.insecure_skip_verify {
        let what =
            format!("`{path}.tls.insecure_skip_verify`: anybody between here and the target can read and change data");
        section.report.warning(Mistake::new(section.place_of("tls"), what));
    }
}
