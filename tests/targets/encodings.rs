//! Scenario: targets that take no gzip, some of which say so beforehand and some only when they get it.
//! Guarantee: they get plain bodies that hold what was stored, and a refusal is not believed before a plain body had it too.

use spillway::batch::{Encoding, Signal};
use spillway::config::Protocol;
use spillway::otlp::answer::Answer;
use spillway::otlp::inflate::Inflater;

use crate::setup::{BOTH, build, gzip, network, request, shipment, target};
use crate::sink::{Reply, Seen, Sink};

fn is_compressed(seen: &Seen) -> bool {
    if seen.is_grpc() { seen.message().0 == 1 } else { !seen.header("content-encoding").is_empty() }
}

fn message(seen: &Seen) -> &[u8] {
    if seen.is_grpc() { seen.message().1 } else { &seen.body }
}

fn refusal(protocol: Protocol) -> Vec<Reply> {
    match protocol {
        Protocol::OtlpGrpc => vec![Reply::grpc(12, "no gzip here"), Reply::grpc(3, "cannot decode")],
        Protocol::OtlpHttp => vec![Reply::http(415), Reply::http(400)],
    }
}

#[tokio::test]
async fn what_is_not_accepted_is_inflated() {
    for protocol in BOTH {
        let sink = Sink::start().await;
        let mut config = network(protocol, &sink.url());
        config.accepts.clear();
        assert_eq!(build(config).send(&gzip()).await, Answer::accepted());
        let seen = sink.only();
        assert!(!is_compressed(&seen) && seen.header("grpc-encoding").is_empty());
        assert_eq!(message(&seen), request(Signal::Traces, "span"));
    }
}

#[tokio::test]
async fn a_refused_compressed_body_is_sent_once_more_plain_and_remembered() {
    for protocol in BOTH {
        for refused in refusal(protocol) {
            let sink = Sink::start().await;
            sink.answer(move |seen| if is_compressed(seen) { refused.clone() } else { Reply::accept() });
            let hub = target(protocol, &sink.url());
            assert_eq!(hub.send(&gzip()).await, Answer::accepted());
            assert_eq!(sink.seen().iter().map(is_compressed).collect::<Vec<_>>(), [true, false]);
            assert_eq!(message(&sink.seen()[1]), request(Signal::Traces, "span"));

            // Remembered for traces; logs may have another endpoint behind the same name.
            assert_eq!(hub.send(&gzip()).await, Answer::accepted());
            assert_eq!(sink.seen().iter().map(is_compressed).collect::<Vec<_>>(), [true, false, false]);
            assert_eq!(hub.send(&shipment(Signal::Logs, Encoding::Gzip, "log")).await, Answer::accepted());
            let compressed: Vec<_> = sink.seen().iter().map(is_compressed).collect();
            assert_eq!(compressed, [true, false, false, true, false]);
        }
    }
}

/// Scenario: a body is stored in zstd, and a target that lists it refuses it.
/// Guarantee: the target gets it plain at once, and the next one in gzip, which it may still take.
#[tokio::test]
async fn refused_zstd_goes_on_as_gzip() {
    let encoding = |seen: &Seen| [seen.header("grpc-encoding"), seen.header("content-encoding")].concat();
    for protocol in BOTH {
        for refused in refusal(protocol) {
            let sink = Sink::start().await;
            sink.answer(move |seen| if encoding(seen) == "zstd" { refused.clone() } else { Reply::accept() });
            let hub = target(protocol, &sink.url());
            for name in ["one", "two"] {
                assert_eq!(hub.send(&shipment(Signal::Logs, Encoding::Zstd, name)).await, Answer::accepted());
            }
            let seen = sink.seen();
            assert_eq!(seen.iter().map(encoding).collect::<Vec<_>>(), ["zstd", "", "gzip"]);
            assert_eq!(message(&seen[1]), request(Signal::Logs, "one"));
            let two = Inflater::new().inflate(Encoding::Gzip, message(&seen[2]), 1 << 20).unwrap().bytes.to_vec();
            assert_eq!(two, request(Signal::Logs, "two"));
        }
    }
}

#[tokio::test]
async fn a_body_that_is_refused_plain_too_is_refused_and_teaches_nothing() {
    for protocol in BOTH {
        for refused in refusal(protocol) {
            let sink = Sink::start().await;
            sink.always(refused);
            let hub = target(protocol, &sink.url());
            for sends in [1, 2] {
                let answer = hub.send(&gzip()).await;
                assert!(matches!(answer, Answer::Grpc { code: 3 | 12, .. } | Answer::Http { status: 400 | 415, .. }));
                assert_eq!(sink.seen().len(), 2 * sends, "each time once compressed and once plain");
            }
            assert_eq!(sink.seen().iter().map(is_compressed).collect::<Vec<_>>(), [true, false, true, false]);
        }
    }
}

/// Scenario: other refusals of a compressed body.
/// Guarantee: they are answered at once: nothing is sent twice that may have been taken.
#[tokio::test]
async fn other_answers_are_final() {
    for (protocol, reply) in [
        (Protocol::OtlpGrpc, Reply::grpc(14, "busy")),
        (Protocol::OtlpGrpc, Reply::grpc(16, "who?")),
        (Protocol::OtlpHttp, Reply::http(503)),
        (Protocol::OtlpHttp, Reply::http(404)),
        (Protocol::OtlpHttp, Reply::http(413)),
    ] {
        let sink = Sink::start().await;
        sink.always(reply);
        let answer = target(protocol, &sink.url()).send(&gzip()).await;
        assert!(!matches!(answer, Answer::Accepted { .. } | Answer::Broken { .. }), "{answer}");
        sink.only();
    }
}
