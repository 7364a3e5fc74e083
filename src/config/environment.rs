//! What the environment says where the file says nothing: `OTEL_EXPORTER_OTLP_*`, `SPILLWAY_QUEUE_DIRECTORY` and the names of
//! the cluster.
//!
//! Variables become nodes of the tree, with the variable as their place, so that they are read, checked and complained about
//! like everything else. Rules: OpenTelemetry specification, "OpenTelemetry Protocol Exporter".

use super::mistake::{Mistake, Place};
use super::read::ParsedEndpoint;
use super::substitute::Env;
use super::targets::Protocol;
use super::tree::{Node, Value};
use crate::batch::Signal;

const PLAIN: [(&str, &[&str]); 4] = [
    ("SPILLWAY_QUEUE_DIRECTORY", &["queue", "directory"]),
    ("CLUSTER_NAME", &["cluster", "name"]),
    ("CLUSTER_REGION", &["cluster", "region"]),
    ("ENVIRONMENT", &["cluster", "environment"]),
];

/// Fills the tree from the environment where it says nothing itself.
pub(super) fn fill(tree: &mut Node, env: Env<'_>, mistakes: &mut Vec<Mistake>, warnings: &mut Vec<Mistake>) {
    for (name, path) in PLAIN {
        if let Some(value) = env(name).filter(|value| !value.is_empty() && !tree.has(path)) {
            put(tree, path, Variable { name: name.to_owned(), value });
        }
    }
    if !tree.has(&["targets"]) {
        primary(tree, env, mistakes, warnings);
    }
}

/// A variable that is set, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Variable {
    name: String,
    value: String,
}

impl Variable {
    fn place(&self) -> Place {
        Place::Variable(self.name.as_str().into())
    }

    fn mistake(&self, what: &str, expected: &str) -> Mistake {
        Mistake::new(self.place(), what).expected(expected)
    }
}

fn put(tree: &mut Node, path: &[&str], variable: Variable) {
    let place = variable.place();
    put_node(tree, path, &place, Node::quoted(place.clone(), variable.value));
}

fn put_node(tree: &mut Node, path: &[&str], place: &Place, node: Node) {
    // A way that is blocked by a scalar is a mistake of the file, and noted when the file is read.
    let _ = tree.put(path, place, node);
}

/// What the variables say about one signal: its own where there is one, the common one else.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Exporter {
    endpoint: Variable,
    /// The endpoint is the signal's own, and taken as it is.
    own: bool,
    protocol: Option<Variable>,
    headers: Option<Variable>,
    timeout: Option<Variable>,
    compression: Option<Variable>,
    certificate: Option<Variable>,
    client_certificate: Option<Variable>,
    client_key: Option<Variable>,
    insecure: Option<Variable>,
}

impl Exporter {
    fn of(signal: Signal, env: Env<'_>) -> Option<Exporter> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_", signal.as_str().to_uppercase());
        let take = |prefix: &str, what: &str| {
            let name = format!("{prefix}{what}");
            env(&name).filter(|value| !value.is_empty()).map(|value| Variable { name, value })
        };
        let common = "OTEL_EXPORTER_OTLP_";
        let either = |what: &str| take(&own, what).or_else(|| take(common, what));
        let own_endpoint = take(&own, "ENDPOINT");
        Some(Exporter {
            own: own_endpoint.is_some(),
            endpoint: own_endpoint.or_else(|| take(common, "ENDPOINT"))?,
            protocol: either("PROTOCOL"),
            headers: either("HEADERS"),
            timeout: either("TIMEOUT"),
            compression: either("COMPRESSION"),
            certificate: either("CERTIFICATE"),
            client_certificate: either("CLIENT_CERTIFICATE"),
            client_key: either("CLIENT_KEY"),
            insecure: either("INSECURE"),
        })
    }

    /// The protocol that is named, or the one of the endpoint's port, or HTTP as the specification has it.
    fn protocol(&self, warnings: &mut Vec<Mistake>) -> Result<Protocol, Mistake> {
        let Some(variable) = &self.protocol else {
            let endpoint = ParsedEndpoint::parse(&self.endpoint.value, false).ok();
            return Ok(endpoint.and_then(|endpoint| endpoint.protocol()).unwrap_or(Protocol::OtlpHttp));
        };
        match variable.value.as_str() {
            "grpc" => Ok(Protocol::OtlpGrpc),
            "http/protobuf" => Ok(Protocol::OtlpHttp),
            "http/json" => {
                let what = "http/json is sent as http/protobuf, which every OTLP receiver takes";
                warnings.push(Mistake::new(variable.place(), what));
                Ok(Protocol::OtlpHttp)
            }
            other => Err(variable.mistake(&format!("the protocol is `{other}`"), "grpc or http/protobuf")),
        }
    }

    /// Whether one target can serve both signals.
    fn fits(&self, other: &Exporter, protocol: Protocol) -> bool {
        let settings =
            |exporter: &Exporter| Exporter { endpoint: self.endpoint.clone(), own: false, ..exporter.clone() };
        let same_endpoint = self.endpoint.value == other.endpoint.value;
        settings(self).values() == settings(other).values() && (protocol == Protocol::OtlpHttp || same_endpoint)
    }

    fn values(&self) -> [Option<&str>; 8] {
        [
            &self.protocol,
            &self.headers,
            &self.timeout,
            &self.compression,
            &self.certificate,
            &self.client_certificate,
            &self.client_key,
            &self.insecure,
        ]
        .map(|variable| variable.as_ref().map(|variable| variable.value.as_str()))
    }
}

/// Describes `primary`, or a target for each signal where one cannot serve them all.
fn primary(tree: &mut Node, env: Env<'_>, mistakes: &mut Vec<Mistake>, warnings: &mut Vec<Mistake>) {
    let exporters = Signal::ALL.map(|signal| Exporter::of(signal, env));
    if exporters.iter().all(Option::is_none) {
        return;
    }
    let mut complete = Vec::new();
    for (signal, exporter) in Signal::ALL.into_iter().zip(exporters) {
        let Some(exporter) = exporter else {
            let name = format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.as_str().to_uppercase());
            let what = format!("it is not set, so that {signal} have nowhere to go");
            let mistake = Mistake::new(Place::Variable(name.into()), what);
            mistakes.push(mistake.expected("an endpoint for each signal, or OTEL_EXPORTER_OTLP_ENDPOINT for all"));
            continue;
        };
        match exporter.protocol(warnings) {
            Ok(protocol) => complete.push((signal, exporter, protocol)),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    let Some((_, first, protocol)) = complete.first().cloned() else { return };
    let one = complete.iter().all(|(_, other, theirs)| *theirs == protocol && first.fits(other, protocol));
    for (signal, exporter, protocol) in complete {
        let name = if one { "primary".to_owned() } else { format!("primary-{signal}") };
        describe(tree, &name, signal, &exporter, protocol, mistakes);
        let path: &[&str] = if one { &["chain", "primary"] } else { &["chain", "signals", signal.as_str(), "primary"] };
        if !tree.has(&["chain", "primary"]) && !tree.has(path) {
            put(tree, path, Variable { value: name, ..exporter.endpoint });
        }
    }
}

fn describe(
    tree: &mut Node,
    target: &str,
    signal: Signal,
    exporter: &Exporter,
    protocol: Protocol,
    mistakes: &mut Vec<Mistake>,
) {
    let endpoint = exporter.endpoint.clone();
    let word = match protocol {
        Protocol::OtlpGrpc => "otlp_grpc",
        Protocol::OtlpHttp => "otlp_http",
    };
    let source = exporter.protocol.as_ref().unwrap_or(&exporter.endpoint);
    put(tree, &["targets", target, "protocol"], Variable { name: source.name.clone(), value: word.to_owned() });
    let own = format!("{signal}_endpoint");
    let key = if exporter.own && protocol == Protocol::OtlpHttp { own.as_str() } else { "endpoint" };
    put(tree, &["targets", target, key], endpoint);
    for (variable, key) in [
        (&exporter.certificate, "ca_file"),
        (&exporter.client_certificate, "cert_file"),
        (&exporter.client_key, "key_file"),
    ] {
        if let Some(variable) = variable.clone() {
            put(tree, &["targets", target, "tls", key], variable);
        }
    }
    for (variable, path, read) in [
        (
            &exporter.insecure,
            &["targets", target, "tls", "insecure"][..],
            insecure as fn(&Variable) -> Result<Node, Mistake>,
        ),
        (&exporter.timeout, &["targets", target, "timeout"], timeout),
        (&exporter.compression, &["targets", target, "accepts"], compression),
        (&exporter.headers, &["targets", target, "headers"], headers),
    ] {
        let Some(variable) = variable else { continue };
        match read(variable) {
            Ok(node) => put_node(tree, path, &variable.place(), node),
            Err(mistake) if mistakes.contains(&mistake) => {}
            Err(mistake) => mistakes.push(mistake),
        }
    }
}

fn insecure(variable: &Variable) -> Result<Node, Mistake> {
    match variable.value.to_ascii_lowercase().as_str() {
        word @ ("true" | "false") => Ok(Node::plain(variable.place(), word)),
        _ => Err(variable.mistake(&format!("it is `{}`", variable.value), "true or false")),
    }
}

/// Milliseconds.
fn timeout(variable: &Variable) -> Result<Node, Mistake> {
    match variable.value.trim().parse::<u32>() {
        Ok(millis) if millis > 0 => Ok(Node::plain(variable.place(), format!("{millis}ms"))),
        _ => Err(variable.mistake(&format!("it is `{}`", variable.value), "a number of milliseconds, such as 10000")),
    }
}

fn compression(variable: &Variable) -> Result<Node, Mistake> {
    let list = match variable.value.as_str() {
        "gzip" => vec![Node::plain(variable.place(), "gzip")],
        "none" => Vec::new(),
        other => return Err(variable.mistake(&format!("the compression is `{other}`"), "gzip or none")),
    };
    Ok(Node { at: variable.place(), value: Value::List(list) })
}

/// `key1=value1,key2=value2`, values percent-encoded (W3C Baggage without properties). Never shows a value.
fn headers(variable: &Variable) -> Result<Node, Mistake> {
    let mut map = Node::map(variable.place());
    for (number, pair) in variable.value.split(',').enumerate().filter(|(_, pair)| !pair.trim().is_empty()) {
        let bad = |what: &str| {
            variable.mistake(&format!("header {} {what}", number + 1), "name=value,name=value, percent-encoded")
        };
        let (name, value) = pair.split_once('=').ok_or_else(|| bad("has no `=`"))?;
        let value = percent_decode(value.trim()).ok_or_else(|| bad("has a bad percent code"))?;
        put_node(&mut map, &[name.trim()], &variable.place(), Node::quoted(variable.place(), value));
    }
    Ok(map)
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let digit = |byte: u8| char::from(byte).to_digit(16);
        bytes.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
