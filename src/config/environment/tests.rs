//! Whole configurations from variables.

use std::time::Duration;

use super::percent_decode;
use crate::batch::{Encoding, Signal};
use crate::config::load_tests::{from_env, network, text, with_hub};
use crate::config::{Config, Protocol, Secret, TlsConfig};

#[test]
fn variables_of_the_specification_describe_the_primary() {
    let config = from_env(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://hub/base"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs:1234"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Api-Key=a%20b, x-tenant=$t"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("ENVIRONMENT", "prod"),
    ]);
    let config = config.unwrap().config;
    let target = &config.targets[0];
    let network = network(target);
    assert_eq!((target.name.as_str(), network.protocol), ("primary", Protocol::OtlpHttp));
    assert_eq!(network.endpoints, ["https://hub/base/v1/traces", "https://hub/base/v1/metrics", "https://logs:1234/"]);
    assert_eq!(network.headers, [("api-key".into(), Secret::new("a b")), ("x-tenant".into(), Secret::new("$t"))]);
    assert_eq!((network.timeout, network.accepts.as_slice()), (Duration::from_millis(2500), &[] as &[Encoding]));
    assert_eq!(
        (config.chain.of(Signal::Logs).primary.as_str(), config.cluster.environment.as_str()),
        ("primary", "prod")
    );
}

/// Certificates, and every variable of one signal beside the one for all.
#[test]
fn a_signals_own_variable_beats_the_one_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(Vec::new()).unwrap();
    let file = |name: &str, text: String| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    let (ca, cert) = (file("ca", pair.cert.pem()), file("cert", pair.cert.pem()));
    let key = file("key", pair.signing_key.serialize_pem());
    let [ca_path, cert_path, key_path] = [&ca, &cert, &key].map(|path| path.to_str().unwrap());
    let variables: Vec<(String, &str)> = [
        ("ENDPOINT", "https://hub:1", "https://logs:2"),
        ("PROTOCOL", "http/protobuf", "grpc"),
        ("HEADERS", "tenant=all", "tenant=logs"),
        ("TIMEOUT", "1000", "2000"),
        ("COMPRESSION", "none", "gzip"),
        ("CERTIFICATE", "", ca_path),
        ("CLIENT_CERTIFICATE", "", cert_path),
        ("CLIENT_KEY", "", key_path),
    ]
    .into_iter()
    .flat_map(|(name, all, logs)| {
        [(format!("OTEL_EXPORTER_OTLP_{name}"), all), (format!("OTEL_EXPORTER_OTLP_LOGS_{name}"), logs)]
    })
    .collect();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let config = from_env(&variables).unwrap_or_else(|mistakes| panic!("{mistakes}")).config;
    let of = |signal: Signal| {
        let name = &config.chain.of(signal).primary;
        network(config.targets.iter().find(|target| target.name == *name).unwrap())
    };
    for (signal, url) in [(Signal::Traces, "https://hub:1/v1/traces"), (Signal::Metrics, "https://hub:1/v1/metrics")] {
        let network = of(signal);
        assert_eq!((network.protocol, network.endpoint(signal)), (Protocol::OtlpHttp, url));
        assert_eq!(network.headers, [("tenant".into(), Secret::new("all"))]);
        assert_eq!((network.timeout, network.accepts.as_slice()), (Duration::from_secs(1), &[] as &[Encoding]));
        assert_eq!(network.tls, TlsConfig::default(), "an empty variable is none");
    }
    let logs = of(Signal::Logs);
    assert_eq!((logs.protocol, logs.endpoint(Signal::Logs)), (Protocol::OtlpGrpc, "https://logs:2"));
    assert_eq!(logs.headers, [("tenant".into(), Secret::new("logs"))]);
    assert_eq!((logs.timeout, logs.accepts.as_slice()), (Duration::from_secs(2), &[Encoding::Gzip][..]));
    let tls = TlsConfig { ca_file: Some(ca), cert_file: Some(cert), key_file: Some(key), ..TlsConfig::default() };
    assert_eq!(logs.tls, tls);
}

/// A file without targets leaves the primary to the variables; one with targets does not.
#[test]
fn a_file_without_targets_leaves_them_to_the_environment() {
    let env = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "http://from-env:4317".to_owned());
    let endpoints = |yaml: &str| {
        let config = Config::load(&text(yaml), &[], &env).unwrap().config;
        let targets: Vec<_> = config.targets.iter().map(|target| target.name.clone()).collect();
        (config.chain.of(Signal::Logs).primary.clone(), targets)
    };
    let alone = |name: &str| (name.to_owned(), vec![name.to_owned()]);
    assert_eq!(endpoints("replay: {rate: auto}\n"), alone("primary"));
    assert_eq!(endpoints(&with_hub("")), alone("hub"));
}

#[test]
fn the_protocol_comes_from_its_variable_or_the_port() {
    let protocol = |variables: &[(&str, &str)]| network(&from_env(variables).unwrap().config.targets[0]).protocol;
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://hub:4317");
    assert_eq!(protocol(&[endpoint]), Protocol::OtlpGrpc);
    assert_eq!(protocol(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "")]), Protocol::OtlpGrpc, "an empty one is none");
    assert_eq!(protocol(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]), Protocol::OtlpHttp);
    assert_eq!(protocol(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://hub:80")]), Protocol::OtlpHttp);
}

/// Where signals differ in more than one target can hold, each gets a target of its own.
#[test]
fn signals_that_differ_get_targets_of_their_own() {
    let config = from_env(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://hub:4317"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "TRUE"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "metrics:4317"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "1000"),
    ]);
    let config = config.unwrap().config;
    let names: Vec<&str> = config.targets.iter().map(|target| target.name.as_str()).collect();
    assert_eq!(names, ["primary-traces", "primary-metrics", "primary-logs"]);
    assert_eq!(config.chain.of(Signal::Metrics).primary, "primary-metrics");
    assert_eq!(network(&config.targets[1]).endpoint(Signal::Metrics), "http://metrics:4317");
    assert_eq!(network(&config.targets[1]).timeout, Duration::from_secs(1));
}

#[test]
fn mistakes_in_variables_name_the_variable_and_no_secret() {
    let list = |variables: &[(&str, &str)]| from_env(variables).unwrap_err().to_string();
    assert!(list(&[]).starts_with("environment: there is no configuration; expected --config FILE, or OTEL_EXPORTER"));
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://hub:4317");
    for (name, value, says) in [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "environment variable OTEL_EXPORTER_OTLP_TIMEOUT: it is `10s`"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http", "the protocol is `http`; expected grpc or http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,secret", "header 2 has no `=`"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=secret%", "header 1 has a bad percent code"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such", "OTEL_EXPORTER_OTLP_CERTIFICATE: `targets.primary.tls.ca_file`"),
    ] {
        let text = list(&[endpoint, (name, value)]);
        assert!(text.contains(says) && !text.contains("secret"), "{text}");
    }
    let text = list(&[("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://hub:4318")]);
    assert!(
        text.contains("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: it is not set, so that traces have nowhere to go"),
        "{text}"
    );
}

#[test]
fn percent_codes_are_decoded() {
    assert_eq!(percent_decode("Basic%20YQ%3d%3D").as_deref(), Some("Basic YQ=="));
    assert_eq!(percent_decode("%zz"), None);
    assert_eq!(percent_decode("%2"), None);
}
