//! Scenario: health probes climb their ladder at targets in every state.
//! Guarantee: up and down are told with the sentence why; what says neither stays unknown; a probe ends within its timeout.

use std::time::{Duration, Instant};

use spillway::config::{Probe, Protocol, TargetConfig, TargetKind};
use spillway::otlp::answer::Answer;
use spillway::target::Health;

use crate::setup::{BOTH, config, file, file_target, network, plain, target};
use crate::sink::{Reply, Seen, Sink};

async fn probe(protocol: Protocol, sink: &Sink, change: impl Fn(&mut TargetConfig)) -> Health {
    let mut config = config(TargetKind::Network(network(protocol, &sink.url())));
    change(&mut config);
    spillway::target::build(&config, "").unwrap().probe().await
}

fn down(health: &Health, words: &str) {
    let Health::Down(why) = health else { panic!("{health:?} is not down") };
    assert!(why.contains(words), "{why:?} does not say {words:?}");
}

fn is_health_check(seen: &Seen) -> bool {
    seen.path == "/grpc.health.v1.Health/Check"
}

#[tokio::test]
async fn a_target_that_takes_an_empty_export_is_up() {
    for protocol in BOTH {
        let sink = Sink::start().await;
        assert_eq!(probe(protocol, &sink, |_| {}).await, Health::Up);
        let last = sink.seen().pop().unwrap();
        assert!(last.path.contains("trace"));
        assert_eq!(last.body.len(), if protocol == Protocol::OtlpGrpc { 5 } else { 0 });
        assert!(!last.headers.contains_key("spillway-batch-id"));
    }
}

#[tokio::test]
async fn an_empty_export_that_is_refused() {
    for (protocol, reply, words) in [
        (Protocol::OtlpGrpc, Reply::grpc(14, "starting"), "starting"),
        (Protocol::OtlpGrpc, Reply::grpc(16, "bad token"), "bad token"),
        (Protocol::OtlpHttp, Reply::http(503), "503"),
        (Protocol::OtlpHttp, Reply::http(401), "401"),
        (Protocol::OtlpHttp, Reply::http(404), "404"),
    ] {
        let sink = Sink::start().await;
        sink.always(reply);
        down(&probe(protocol, &sink, |_| {}).await, words);
    }
    for (protocol, reply) in [
        (Protocol::OtlpGrpc, Reply::grpc(3, "nothing in it")),
        (Protocol::OtlpHttp, Reply::http(400)),
        (Protocol::OtlpHttp, Reply::http(429)),
    ] {
        let sink = Sink::start().await;
        sink.always(reply);
        assert_eq!(probe(protocol, &sink, |_| {}).await, Health::Unknown);
    }
}

/// Scenario: a backend of logs alone.
/// Guarantee: it is up, and the next probe begins with what it takes.
#[tokio::test]
async fn a_backend_of_one_signal_is_up() {
    for protocol in BOTH {
        let sink = Sink::start().await;
        sink.answer(|seen| match seen.path.contains("log") {
            true => Reply::accept(),
            false if seen.is_grpc() => Reply::grpc(12, "unknown service"),
            false => Reply::http(404),
        });
        let hub = target(protocol, &sink.url());
        assert_eq!(hub.probe().await, Health::Up);
        let before = sink.seen().len();
        assert_eq!(hub.probe().await, Health::Up);
        let exports = sink.seen().into_iter().skip(before).filter(|seen| !is_health_check(seen)).count();
        assert_eq!(exports, 1);
    }
}

#[tokio::test]
async fn a_health_service_may_say_down_and_nothing_else() {
    for (status, up) in [(1_u8, true), (2, false), (3, true)] {
        let sink = Sink::start().await;
        sink.answer(move |seen| if is_health_check(seen) { Reply::Ok(vec![8, status]) } else { Reply::usual(seen) });
        let health = probe(Protocol::OtlpGrpc, &sink, |_| {}).await;
        match up {
            true => assert_eq!(health, Health::Up),
            false => down(&health, "NOT_SERVING"),
        }
    }
    for code in [5, 12, 16] {
        let sink = Sink::start().await;
        sink.answer(move |seen| if is_health_check(seen) { Reply::grpc(code, "") } else { Reply::usual(seen) });
        assert_eq!(probe(Protocol::OtlpGrpc, &sink, |_| {}).await, Health::Up, "code {code}");
    }
}

#[tokio::test]
async fn a_path_is_asked_first() {
    for protocol in BOTH {
        let sink = Sink::start().await;
        sink.answer(|seen| if seen.path == "/healthz" { Reply::http(200) } else { Reply::usual(seen) });
        assert_eq!(probe(protocol, &sink, |config| config.health.path = "/healthz".to_owned()).await, Health::Up);
        assert_eq!((sink.seen()[0].method.as_str(), sink.seen()[0].path.as_str()), ("GET", "/healthz"));
        let sick = probe(protocol, &sink, |config| config.health.path = "/ready".to_owned()).await;
        down(&sick, "GET /ready: HTTP status 404");
    }
}

#[tokio::test]
async fn connect_and_off_ask_for_less() {
    for protocol in BOTH {
        let sink = Sink::start().await;
        assert_eq!(probe(protocol, &sink, |config| config.health.probe = Probe::Off).await, Health::Unknown);
        assert_eq!(sink.connections(), 0);
        assert_eq!(probe(protocol, &sink, |config| config.health.probe = Probe::Connect).await, Health::Up);
        assert!(sink.seen().is_empty());
        let closed = target(protocol, "http://127.0.0.1:1");
        down(&closed.probe().await, "Connection refused");
    }
}

#[tokio::test]
async fn a_probe_ends_within_its_timeout() {
    for protocol in BOTH {
        let sink = Sink::start().await;
        sink.always(Reply::Hang);
        let start = Instant::now();
        let health = probe(protocol, &sink, |config| config.health.timeout = Duration::from_millis(200)).await;
        assert!(start.elapsed() < Duration::from_secs(5));
        down(&health, "within 200ms");
    }
}

#[tokio::test]
async fn an_empty_export_can_be_sent_for_each_signal() {
    for protocol in BOTH {
        let sink = Sink::start().await;
        let hub = target(protocol, &sink.url());
        for signal in spillway::batch::Signal::ALL {
            assert_eq!(hub.send_empty(signal).await, Answer::accepted());
        }
        assert_eq!(sink.seen().len(), 3);
    }
}

#[tokio::test]
async fn a_file_is_up_while_it_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("backup").join("otlp.jsonl");
    let disk = file_target(file(&path));
    assert!(disk.is_file());
    assert_eq!(disk.probe().await, Health::Up);
    assert_eq!(disk.send_empty(spillway::batch::Signal::Logs).await, Answer::accepted());
    assert!(!path.parent().unwrap().exists(), "looking makes nothing");
    assert_eq!(disk.send(&plain()).await, Answer::accepted());
    assert_eq!(file_target(file(&path)).probe().await, Health::Up, "and locks nothing");
    drop(disk);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let disk = file_target(file(&dir.path().join("backup").join("other.jsonl")));
    std::fs::remove_dir_all(dir.path().join("backup")).unwrap();
    std::fs::write(dir.path().join("backup"), "in the way").unwrap();
    down(&disk.probe().await, "is not a directory");
    std::fs::remove_file(dir.path().join("backup")).unwrap();
    std::fs::create_dir_all(&path).unwrap();
    let config = config(TargetKind::File(file(&path)));
    assert!(spillway::target::build(&config, "").is_err());
}
