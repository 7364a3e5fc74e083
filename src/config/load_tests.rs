//! Whole configurations through the loader. The command line has its own tests in `tests/config`.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::reader::Report;
use super::tree::{Node, Value};
use super::*;
use crate::batch::{Encoding, Signal};

const REFERENCE: &str = include_str!("../../config/reference.yaml");

pub(super) fn text(text: &str) -> Source {
    Source::Text { name: "f.yaml".to_owned(), text: text.to_owned() }
}

fn none(_: &str) -> Option<String> {
    None
}

fn load(yaml: &str) -> Config {
    Config::load(&text(yaml), &[], &none).unwrap_or_else(|mistakes| panic!("{mistakes}")).config
}

fn mistakes(yaml: &str) -> Vec<String> {
    let mistakes = Config::load(&text(yaml), &[], &none).expect_err("a mistake");
    mistakes.list.iter().map(|mistake| mistake.line(&mistakes.file)).collect()
}

pub(super) fn from_env(variables: &[(&str, &str)]) -> Result<Loaded, Mistakes> {
    let env = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Config::load(&Source::Environment, &[], &env)
}

pub(super) fn network(target: &TargetConfig) -> &NetworkConfig {
    match &target.kind {
        TargetKind::Network(network) => network,
        TargetKind::File(_) => panic!("{} is a file target", target.name),
    }
}

/// Scenario: chains whose targets list zstd, list it not, or are files, in common and for a signal of its own.
/// Guarantee: what is compressed anew is zstd where all of its chain take it, and gzip where one does not.
#[test]
fn zstd_needs_the_whole_chain() {
    let hub = "hub: {endpoint: \"hub:4317\", accepts: [gzip, zstd]}";
    let (disk, other) = ("disk: {protocol: file, path: /tmp/out.jsonl}", "other: {endpoint: \"other:4317\"}");
    let packing =
        |chain: &str| load(&format!("targets: {{{hub}, {disk}, {other}}}\nchain: {{primary: {chain}}}\n")).packing();
    assert_eq!(packing("hub"), [Encoding::Zstd; 3]);
    assert_eq!(packing("hub, fallback: [disk]"), [Encoding::Zstd; 3]);
    assert_eq!(packing("hub, fallback: [disk, other]"), [Encoding::Gzip; 3]);
    assert_eq!(packing("other"), [Encoding::Gzip; 3]);
    let logs_elsewhere = packing("hub, signals: {logs: {primary: other}}");
    assert_eq!(logs_elsewhere, [Encoding::Zstd, Encoding::Zstd, Encoding::Gzip]);
}

/// A minimal target, so that a test writes only what it is about.
pub(super) fn with_hub(rest: &str) -> String {
    format!("targets: {{hub: {{endpoint: \"http://hub:4317\"}}}}\n{rest}")
}

/// Every default in reference.yaml is the one in the code: the file with every key reads as a file with hardly any.
#[test]
fn the_reference_holds_the_defaults() {
    let minimal = "targets: {hub: {endpoint: \"https://hub.example.com:4317\"}, \
                   disk: {protocol: file, path: /var/backup/spillway/telemetry.jsonl}}\nchain: {primary: hub}\n";
    assert_eq!(load(REFERENCE), load(minimal));
    let config = load(REFERENCE);
    let defaults = Config {
        cluster: ClusterConfig::default(),
        receivers: ReceiverConfig::default(),
        queue: QueueConfig::default(),
        targets: config.targets.clone(),
        chain: config.chain.clone(),
        replay: ReplayConfig::default(),
        admin: AdminConfig::default(),
        shutdown: ShutdownConfig::default(),
        telemetry: TelemetryConfig::default(),
    };
    assert_eq!(config, defaults);
}

/// Every key that a section asks for stands in reference.yaml. (A key there that no section asks for is refused as unknown.)
#[test]
fn the_reference_holds_every_key() {
    let tree = yaml::parse(REFERENCE, &|line, column| Place::File { line, column }, &mut Vec::new()).unwrap().unwrap();
    let report = Report::default();
    read::config(&tree, &report);
    let mut written = BTreeSet::new();
    collect(&tree, "", &mut written);
    let missing: Vec<String> = report.known().into_iter().filter(|key| !written.contains(key)).collect();
    assert_eq!(missing, Vec::<String>::new());
}

fn collect(node: &Node, above: &str, written: &mut BTreeSet<String>) {
    let Value::Map(entries) = &node.value else { return };
    for entry in entries {
        let key = if above == "targets" { "*" } else { &entry.key };
        let path = if above.is_empty() { key.to_owned() } else { format!("{above}.{key}") };
        written.insert(path.clone());
        collect(&entry.value, &path, written);
    }
}

/// What `check` prints is a configuration too, and the same one.
#[test]
fn the_effective_configuration_reads_back() {
    let varied = "targets:\n  a: {protocol: otlp_http, endpoint: \"https://a/x\", timeout: 1m30s, retry: {multiplier: 2.5}}\n  \
                  b: {protocol: file, path: \"/x $$y/z.jsonl\", health: {path: /h}}\n\
                  chain: {primary: a, fallback: [b], signals: {logs: {fallback: []}}}\n\
                  queue: {max_size: 75%, signals: {traces: {share: 50%, max_age: 1h}, logs: {share: 20%}}}\n\
                  receivers: {otlp: {protocols: {http: }}}\ntelemetry: {log: \"info,queue=debug\", heartbeat: 1m}\n\
                  cluster: {name: n, attributes: {\"a.b\": \"true\", c: \"x: y\"}}\n";
    let config = load(varied);
    assert_eq!(load(&config.to_yaml()), config);
    assert_eq!(config.receivers.grpc, None);
    let printed = load(REFERENCE).to_yaml();
    assert_eq!(load(&printed).to_yaml(), printed);
}

#[test]
fn every_mistake_is_told_at_once_and_in_order() {
    let list = mistakes(
        "queue:\n  max_sise: 1GiB\n  sync_interval: 10 parsecs\ntargets:\n  hub: {endpoint: \"http://hub:4317\"}\n  \
         hub: {endpoint: x}\nchain: {primary: hup, fallback: [hub, hub]}\nshutdown: [1]\nbogus: 1\n",
    );
    assert_eq!(
        list,
        [
            "f.yaml:2:3: `max_sise` is not a key of `queue`; expected directory, durability, sync_interval, max_size, reserve, \
             memory_limit, max_age, when_full, signals or dead_letters; did you mean `max_size`?",
            "f.yaml:3:18: `queue.sync_interval` is 10 parsecs; expected a duration above 0, such as 500ms, 10s or 1m30s",
            "f.yaml:6:3: `hub` is written twice, first on line 5; expected each key once in its map",
            "f.yaml:7:18: `chain.primary` names `hup`, which is not a target; expected hub; did you mean `hub`?",
            "f.yaml:7:39: `chain.fallback` names `hub` twice; expected each target once",
            "f.yaml:8:11: `shutdown` is a list; expected keys and values, as in `key: value`",
            "f.yaml:9:1: `bogus` is not a key of the file; expected targets, cluster, receivers, queue, chain, replay, admin, \
             shutdown or telemetry",
        ]
    );
}

/// One line a case: what is written, and what the message must say.
#[test]
fn wrong_values_are_told_with_what_was_expected() {
    for (yaml, says) in [
        (
            "queue: {max_size: 64MB}",
            "`queue.max_size` is 64MB; expected a size of at least 1MiB such as 2GiB, or a share of the volume such as 80%; did you mean `64MiB`?",
        ),
        ("queue: {max_size: 120%}", "`queue.max_size` is 120%"),
        ("queue: {durability: fsnc}", "expected fsync, interval or os; did you mean `fsync`?"),
        (
            "queue: {signals: {traces: {share: 70%}, logs: {share: 40%}}}",
            "the shares in `queue.signals` add up to 110%",
        ),
        ("queue: {signals: {traces: {share: 60%}, logs: {share: 40%}}}", "less than 100%"),
        ("receivers: {otlp: {allow_credentials: yes}}", "did you mean `allow_credentials: true`?"),
        (
            "receivers: {otlp: {max_connections: \"5\"}}",
            "`receivers.otlp.max_connections` is \"5\"; expected a whole number",
        ),
        ("receivers: {otlp: {max_connections: 0}}", "a whole number from 1 to 1000000"),
        ("receivers: {otlp: {forward_headers: [Authorization]}}", "carries credentials"),
        ("receivers: {otlp: {forward_headers: [x-api-key]}}", "`allow_credentials: true` beside it allows them"),
        ("receivers: {otlp: {forward_headers: [content-type]}}", "is set by spillway itself"),
        ("receivers: {otlp: {protocols: {grpc: {endpoint: \"4317\"}}}}", "expected host:port"),
        (
            "receivers: {otlp: {protocols: {grpc: {keepalive: {time: 1s}}}}}",
            "here `keepalive: 30s` is the interval of pings",
        ),
        ("receivers: {otlp: {protocols: {http: {tls: {cert_file: /x}}}}}", "both cert_file and key_file"),
        ("receivers: {otlp: {protocols: {http: {tls: {min_version: \"1.1\"}}}}}", "expected 1.2 or 1.3"),
        ("admin: {endpoint: 127.0.0.1:4317}", "has port 4317, which `receivers.otlp.protocols.grpc.endpoint` has too"),
        ("shutdown: {linger: 30s}", "`shutdown.linger` is not shorter than `shutdown.timeout`"),
        ("replay: {fresh_share: 100%}", "below 100%"),
        ("telemetry: {traces: {endpoint: \"ftp://a\"}}", "expected https://host:port"),
        ("telemetry: {log: loud}", "expected a level (off, error"),
        ("chain: {fallback: hub}", "`chain.fallback` is hub; expected a list"),
        ("chain: {fallback: [hub]}", "`chain.fallback` names `hub`, which is the primary"),
        ("max_size: 1GiB", "`max_size` is not a key of the file"),
        ("failover_after: 1s", "did you mean `chain.failover_after`?"),
        ("chain: {min_stay: 99999d}", "expected a duration"),
        ("cluster: {name: \"a\\nb\"}", "printable ASCII"),
        ("cluster: {name: ${NO_SUCH_VARIABLE}}", "this is no YAML"),
        ("cluster: {name: \"${NO_SUCH_VARIABLE}\"}", "the environment variable NO_SUCH_VARIABLE is not set"),
    ] {
        let list = mistakes(&with_hub(yaml));
        assert!(list.len() == 1 && list[0].contains(says), "{yaml}: {list:#?}");
    }
}

#[test]
fn mistakes_of_a_target_are_told() {
    for (target, says) in [
        ("{endpoint: \"http://hub:9999\"}", "needs a `protocol`, since its port is neither 4317 nor 4318"),
        ("{}", "`targets.hub` has no endpoint"),
        ("{path: /x/y}", "a file target needs `protocol: file`"),
        ("{protocol: file}", "`targets.hub` has no path"),
        ("{protocol: file, path: /x/y, timeout: 1s}", "a file target has no `timeout`"),
        ("{endpoint: \"hub:4317\", path: /x}", "a network target has no `path`"),
        ("{endpoint: \"hub\"}", "`targets.hub.endpoint` has no port; expected https://host:port"),
        ("{endpoint: \"https://hub:4317/v1/traces\"}", "has a path, which gRPC does not know"),
        (
            "{endpoint: \"https://hub:4317\", logs_endpoint: \"https://x\"}",
            "otlp_grpc has one endpoint for all signals",
        ),
        ("{protocol: otlp_http, traces_endpoint: \"https://x\"}", "`targets.hub` has no endpoint"),
        ("{protocol: otlp, endpoint: \"https://x\"}", "did you mean `otlp_grpc`?"),
        ("{endpoint: \"hub:4317\", accepts: [snappy]}", "names `snappy`; expected gzip"),
        ("{endpoint: \"hub:4317\", sending_queue: {queue_size: 5}}", "the queue is one for all targets"),
        ("{endpoint: \"hub:4317\", retry_on_failure: {enabled: true}}", "it is `retry` here"),
        (
            "{endpoint: \"hub:4317\", retry: {initial_interval: 1m}}",
            "is longer than `max_interval`; expected at most 30s",
        ),
        ("{endpoint: \"hub:4317\", retry: {multiplier: 0.5}}", "a number from 1 to 10"),
        ("{endpoint: \"hub:4317\", retry: {extra_retryable: [INTRNAL]}}", "did you mean `INTERNAL`?"),
        ("{endpoint: \"hub:4317\", breaker: {failure_ratio: 0%}}", "a share above 0%"),
        ("{endpoint: \"hub:4317\", breaker: {open_for: 10m}}", "`targets.hub.breaker.open_for` is longer"),
        ("{endpoint: \"hub:4317\", concurrency: {max: 0}}", "a whole number from 1"),
        ("{endpoint: \"hub:4317\", headers: {\"a b\": x}}", "cannot be the name of a header"),
        ("{endpoint: \"hub:4317\", headers: [x]}", "`targets.hub.headers` is a list"),
        ("{endpoint: \"hub:4317\", proxy_url: \"socks5://u:secret@p\"}", "no URL of a proxy"),
        ("{endpoint: \"hub:4317\", tls: {cert_file: /x}}", "only one of cert_file and key_file"),
        (
            "{endpoint: \"hub:4317\", tls: {ca_file: /no/such/file}}",
            "`targets.hub.tls.ca_file`: the file /no/such/file cannot be read",
        ),
        (
            "{endpoint: \"hub:4317\", auth: {bearer_token_file: /no/such/token}}",
            "`targets.hub.auth.bearer_token_file`: the file /no/such/token cannot be read",
        ),
        (
            "{endpoint: \"http://localhost:4317\"}",
            "points at this gateway's own `receivers.otlp.protocols.grpc.endpoint`",
        ),
        ("{protocol: file, path: /var/lib/spillway/out.jsonl}", "lies inside `queue.directory`"),
    ] {
        let list = mistakes(&format!("targets: {{hub: {target}}}\n"));
        assert!(list.iter().any(|line| line.contains(says)), "{target}: {list:#?}");
        assert!(!list.iter().any(|line| line.contains("secret")), "{list:#?}");
    }
}

#[test]
fn collector_files_are_recognised() {
    let list = mistakes(
        "exporters:\n  otlp/hub: {endpoint: \"hub:4317\"}\n  otlphttp: {}\nservice: {pipelines: {}}\nprocessors: {batch: }\n\
         targets:\n  otlp/two: {endpoint: \"hub:4317\"}\n",
    );
    for says in [
        "f.yaml:1:1: `exporters` is not a key of the file; exporters are `targets` here",
        "f.yaml:2:3: `otlp/hub` is a name of the collector's; here it is `hub` under `targets`, with `protocol: otlp_grpc`",
        "f.yaml:3:3: `otlphttp` is a name of the collector's; here it is `hub` under `targets`, with `protocol: otlp_http`",
        "f.yaml:4:1: `service` is not a key of the file; there are no pipelines here",
        "f.yaml:5:1: `processors` is not a key of the file; there are no processors here",
        "f.yaml:7:3: `otlp/two` cannot be the name of a target; here it is `two` under `targets`",
    ] {
        assert!(list.iter().any(|line| line.starts_with(says)), "{says}: {list:#?}");
    }
}

#[test]
fn endpoints_are_completed() {
    let config = load(
        "targets:\n  a: {endpoint: \"hub:4317\", tls: {insecure: true}}\n  b: {endpoint: \"https://hub:4318/base/\"}\n  \
         c: {protocol: otlp_http, endpoint: \"https://c\", logs_endpoint: \"https://logs/in\"}\n\
         chain: {primary: a, fallback: [b, c]}\n",
    );
    let [a, b, c] = [0, 1, 2].map(|number| network(&config.targets[number]));
    assert_eq!((a.protocol, a.endpoint(Signal::Logs)), (Protocol::OtlpGrpc, "http://hub:4317"));
    assert_eq!((b.protocol, b.endpoint(Signal::Metrics)), (Protocol::OtlpHttp, "https://hub:4318/base/v1/metrics"));
    assert_eq!((c.endpoint(Signal::Logs), c.endpoint(Signal::Traces)), ("https://logs/in", "https://c/v1/traces"));
}

/// File beats environment, overrides beat the file; a variable fills what the file leaves out.
#[test]
fn overrides_beat_the_file_and_the_file_beats_the_environment() {
    let env = |name: &str| match name {
        "SPILLWAY_QUEUE_DIRECTORY" => Some("/from/env".to_owned()),
        "CLUSTER_NAME" => Some("from-env".to_owned()),
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://from-env:4317".to_owned()),
        _ => None,
    };
    let load =
        |yaml: &str, overrides: &[Override]| Config::load(&text(&with_hub(yaml)), overrides, &env).unwrap().config;
    let config = load("", &[]);
    assert_eq!((config.queue.directory.to_str(), config.cluster.name.as_str()), (Some("/from/env"), "from-env"));
    assert_eq!(network(&config.targets[0]).endpoint(Signal::Logs), "http://hub:4317");
    let config = load("queue: {directory: /from/file}\n", &[]);
    assert_eq!(config.queue.directory.to_str(), Some("/from/file"));
    let data_dir = Override::data_dir(std::path::Path::new("/from/$option"));
    let config = load("queue: {directory: /from/file}\n", &[data_dir, Override::set("queue.max_size=5GiB")]);
    assert_eq!(
        (config.queue.directory.to_str(), config.queue.max_size),
        (Some("/from/$option"), QueueSize::Bytes(5 << 30))
    );
}

/// An override of one key of one door opens or closes neither door.
#[test]
fn an_override_inside_a_door_lists_nothing() {
    let set = |assignment: &str| {
        let config = Config::load(&text(&with_hub("")), &[Override::set(assignment)], &none).unwrap().config;
        (config.receivers.grpc.is_some(), config.receivers.http.is_some())
    };
    assert_eq!(set("receivers.otlp.protocols.grpc.endpoint=127.0.0.1:0"), (true, true));
    assert_eq!(set("receivers.otlp.protocols={grpc: }"), (true, false));
}

/// A variable may hold a number or a bool for a whole value, also in quotes; inside a text it stays text.
#[test]
fn substituted_values_are_typed_anew() {
    let env = |name: &str| match name {
        "MAX" => Some("7".to_owned()),
        "STRICT" => Some("true".to_owned()),
        _ => None,
    };
    let yaml = "targets: {hub: {endpoint: \"http://hub:4317\", strict_otlp: \"${STRICT}\", concurrency: {max: \"${MAX}\"}, \
                headers: {x: \"${MAX}\"}}}\ncluster:\n  name: ${NONE:-}\n";
    let config = Config::load(&text(yaml), &[], &env).unwrap().config;
    let target = &config.targets[0];
    assert_eq!((target.max_concurrency, target.strict_otlp), (7, true));
    assert_eq!(network(target).headers[0].1.reveal(), "7");
}

#[test]
fn secrets_are_shown_by_nobody() {
    let yaml = "targets: {hub: {endpoint: \"http://hub:4317\", headers: {authorization: \"Bearer hunter2\"}, \
                proxy_url: \"http://u:hunter2@proxy:3128\"}}\n";
    let config = load(yaml);
    let shown = format!("{}{}{:?}", config.to_yaml(), config.to_json(), config.targets[0].kind);
    assert!(config.to_yaml().contains("authorization: \"***\"") && config.to_yaml().contains("http://***@proxy:3128"));
    assert!(!config.to_yaml().contains("hunter2") && !config.to_json().to_string().contains("hunter2"), "{shown}");
}

#[test]
fn telemetry_of_our_own_goes_to_an_endpoint() {
    let to = |yaml: &str| {
        let config = Config::load(&text(&with_hub(yaml)), &[], &none).unwrap().config;
        config.telemetry.traces_target().map(|target| match target.kind {
            TargetKind::Network(network) => (network.protocol, network.endpoint(Signal::Traces).to_owned()),
            TargetKind::File(_) => panic!("a network target"),
        })
    };
    let traces = |endpoint: &str| format!("telemetry: {{traces: {{endpoint: \"{endpoint}\"}}}}");
    for (endpoint, protocol, url) in [
        ("http://a:4317", Protocol::OtlpGrpc, "http://a:4317"),
        ("http://a:4318", Protocol::OtlpHttp, "http://a:4318/v1/traces"),
        ("https://a/otlp", Protocol::OtlpHttp, "https://a/otlp/v1/traces"),
        ("a:5000", Protocol::OtlpGrpc, "https://a:5000"),
    ] {
        assert_eq!(to(&traces(endpoint)), Some((protocol, url.to_owned())));
    }
    assert_eq!(to(""), None);
    assert_eq!(to("telemetry: {traces: {endpoint: \"a:4317\", sample: 0%}}"), None);
}

#[test]
fn files_of_the_doors_are_looked_into() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).display().to_string()
    };
    let pair = || rcgen::generate_simple_self_signed(Vec::new()).unwrap();
    let (ours, other) = (pair(), pair());
    let cert = file("cert", &ours.cert.pem());
    let (key, stranger) =
        (file("key", &ours.signing_key.serialize_pem()), file("stranger", &other.signing_key.serialize_pem()));
    let tls = |key: &str| {
        with_hub(&format!(
            "receivers: {{otlp: {{protocols: {{grpc: {{tls: {{cert_file: {cert}, key_file: {key}}}}}}}}}}}"
        ))
    };
    let config = Config::load(&text(&tls(&key)), &[], &none).unwrap().config;
    assert_eq!(config.receivers.grpc.unwrap().tls.unwrap().min_version, TlsVersion::V12);
    let list = mistakes(&tls(&stranger));
    assert!(list.len() == 1 && list[0].contains("tls.key_file`: the file"), "{list:#?}");
    assert!(list[0].contains("is not the key of the certificate"), "{list:#?}");

    let tokens = file("tokens", "fine\nhunter2 hunter2\n");
    let list = mistakes(&with_hub(&format!("receivers: {{otlp: {{auth: {{bearer_token_file: {tokens}}}}}}}")));
    assert!(list.len() == 1 && list[0].contains("line 2: a token is printable ASCII"), "{list:#?}");
    assert!(!list[0].contains("hunter2"), "{list:#?}");

    let users = file("users", "u:hunter2");
    let yaml = with_hub(&format!("receivers: {{otlp: {{auth: {{basic_file: {users}}}}}}}"));
    let loaded = Config::load(&text(&yaml), &[], &none).unwrap();
    let plain = loaded.warnings.iter().filter(|warning| warning.contains("credentials")).collect::<Vec<_>>();
    assert!(plain.len() == 2 && plain[0].contains("in plain text; expected `tls`"), "{:#?}", loaded.warnings);
    assert!(!loaded.config.to_yaml().contains("hunter2"));
}

#[test]
fn a_cluster_may_have_any_name_and_is_told_of_the_usual_form() {
    let warnings = |name: &str| {
        let yaml = with_hub(&format!("cluster: {{name: {name}}}"));
        Config::load(&text(&yaml), &[], &none).unwrap().warnings
    };
    for name in ["aws-eu-west-1-prod-01", "gcp-europe-west4-edge-3", "onprem-fra-staging-12"] {
        assert_eq!(warnings(name), Vec::<String>::new(), "{name}");
    }
    for name in ["c1", "aws-eu-prod", "aws-eu-west-prod", "AWS-eu-prod-01", "aws--prod-01"] {
        let found = warnings(name);
        assert!(found.len() == 1 && found[0].contains("<provider>-<region>-<purpose>-<number>"), "{name}: {found:?}");
    }
}

#[test]
fn what_is_allowed_but_unwise_warns() {
    let warns = |yaml: &str, says: &str| {
        let warnings = Config::load(&text(yaml), &[], &none).unwrap().warnings;
        assert!(warnings.iter().any(|warning| warning.contains(says)), "{warnings:#?}");
    };
    warns(&with_hub("queue: {max_size: 80%}"), "lies on the system's");
    warns("targets: {f: {protocol: file, path: /var/lib/out.jsonl}}", "lies on the volume of `queue.directory`");
    warns(
        "targets: {a: {endpoint: \"a:4317\"}, b: {endpoint: \"b:4317\"}}\nchain: {primary: a}",
        "no chain names `targets.b`",
    );
    warns("targets: {a: {endpoint: \"https://a:4317\", tls: {insecure: true}}}", "the endpoint says https");
}

/// A hundred thousand files that were changed at random.
/// Guarantees that none makes the loader panic, and that what is read reads the same when it is shown.
#[test]
fn fuzz_the_file() {
    let small = with_hub("queue: {max_size: 80%}\ncluster: {name: \"${env:A:-b}\"}\ntelemetry: {traces: {sample: 2%}}");
    let (sound, mut n) = ([small.into_bytes()], 0);
    crate::fuzzed::fuzz(&sound, |bytes| {
        n += 1;
        if let Ok(loaded) = Config::load(&text(&String::from_utf8_lossy(bytes)), &[], &none)
            && n % 20 == 0
        {
            let again = Config::load(&text(&loaded.config.to_yaml()), &[], &none).expect("what is shown can be read");
            assert_eq!(again.config.to_yaml(), loaded.config.to_yaml());
        }
    });
}

proptest! {
    /// No text makes the loader panic, whatever it holds.
    #[test]
    fn no_text_panics(yaml in "\\PC{0,200}", set in "\\PC{0,40}") {
        let _ = Config::load(&text(&yaml), &[Override::set(set)], &none);
    }

    /// Nor does anything that looks like YAML of ours.
    #[test]
    fn no_yaml_panics(parts in prop::collection::vec(prop::sample::select(PARTS), 0..60)) {
        let _ = Config::load(&text(&parts.concat()), &[], &none);
    }

    /// Nor does the reference with a few characters changed.
    #[test]
    fn no_slip_in_the_reference_panics(slips in prop::collection::vec((any::<prop::sample::Index>(), any::<char>()), 1..6)) {
        let mut chars: Vec<char> = REFERENCE.chars().collect();
        for (at, with) in slips {
            let at = at.index(chars.len());
            chars[at] = with;
        }
        let _ = Config::load(&text(&chars.into_iter().collect::<String>()), &[], &none);
    }
}

const PARTS: &[&str] = &[
    "targets",
    "hub",
    "endpoint",
    "queue",
    "chain",
    "primary",
    "fallback",
    ": ",
    ":\n",
    "\n",
    "\n  ",
    "\n    ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "'",
    "&a ",
    "*a",
    "<<: *a",
    "${",
    "}",
    "$$",
    "${env:X:-",
    "|\n",
    ">\n",
    "? ",
    "!!str ",
    "!x ",
    "---\n",
    "...\n",
    "# x\n",
    "%YAML 1.2\n",
    "http://h:4317",
    "10s",
    "64MiB",
    "80%",
    "true",
    "~",
    "\t",
    "\u{feff}",
    "é",
    "\0",
    "1e9",
    "-5",
];
