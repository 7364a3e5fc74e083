//! Scenario: targets, and proxies in front of them, answer in every form that the protocols allow.
//! Guarantee: the answer says what was meant: counts, messages, delays, and who spoke.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message;
use spillway::config::Protocol;
use spillway::otlp::answer::{Answer, Break};
use spillway::otlp::media::Media;
use spillway::otlp::status::Status;

use crate::setup::{BOTH, build, network, plain, target};
use crate::sink::{Reply, Sink};

async fn answer(protocol: Protocol, reply: Reply) -> Answer {
    let sink = Sink::start().await;
    sink.always(reply);
    let answer = target(protocol, &sink.url()).send(&plain()).await;
    assert_eq!(sink.seen().len(), 1, "sent once, whatever the answer");
    answer
}

fn http(status: u16, message: &str, delay: Option<u64>) -> Answer {
    Answer::Http { status, message: message.to_owned(), delay: delay.map(Duration::from_secs) }
}

/// `partial_success { rejected: 3, error_message: "bad spans" }`, by hand.
const PARTIAL: &[u8] = b"\x0a\x0d\x08\x03\x12\x09bad spans";

#[tokio::test]
async fn successes() {
    for protocol in BOTH {
        let partial = Answer::Accepted { rejected: 3, message: "bad spans".to_owned() };
        assert_eq!(answer(protocol, Reply::Ok(PARTIAL.to_vec())).await, partial);
        assert_eq!(answer(protocol, Reply::Ok(b"\xffno protobuf".to_vec())).await, Answer::accepted());
        // More than a response may be: it is not kept, and the target has the data all the same.
        assert_eq!(answer(protocol, Reply::Ok(vec![0xff; 6 << 20])).await, Answer::accepted());
    }
    let json = Reply::Http(
        200,
        vec![("content-type", "application/json".to_owned())],
        br#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"late"}}"#.to_vec(),
    );
    let late = Answer::Accepted { rejected: 2, message: "late".to_owned() };
    assert_eq!(answer(Protocol::OtlpHttp, json).await, late);
    assert_eq!(answer(Protocol::OtlpHttp, Reply::http(204)).await, Answer::accepted());
    // The status is the verdict: a body that breaks off takes nothing back.
    assert_eq!(answer(Protocol::OtlpHttp, Reply::CutMidway).await, Answer::accepted());
}

/// Scenario: partial successes whose text makes them nearly as long as an answer may be, or longer, plain and in gzip, which makes a
/// few KiB of either.
/// Guarantee: the first are read; the others are a success of which no more is known. Inflated they count as what they are then.
#[tokio::test]
async fn an_answer_is_read_to_its_limit() {
    for protocol in BOTH {
        for (text, known) in [(3 << 20, 3), (5 << 20, 0)] {
            let partial_success =
                Some(ExportTracePartialSuccess { rejected_spans: 3, error_message: "x".repeat(text) });
            let response = ExportTraceServiceResponse { partial_success }.encode_to_vec();
            for reply in [Reply::Ok(response.clone()), Reply::Packed(response)] {
                let Answer::Accepted { rejected, message } = answer(protocol, reply).await else {
                    panic!("it was a success")
                };
                assert_eq!((rejected, message.len()), (known, if known > 0 { text } else { 0 }), "{protocol:?}");
            }
        }
    }
}

#[tokio::test]
async fn grpc_statuses_in_trailers_and_in_the_head() {
    let busy = Status::unavailable("spülen, bitte warten: 100 %", Duration::from_millis(2500));
    let seen = Answer::Grpc { code: 14, message: busy.message.clone(), delay: busy.delay };
    assert_eq!(answer(Protocol::OtlpGrpc, Reply::Grpc(busy.clone())).await, seen);
    assert_eq!(answer(Protocol::OtlpGrpc, Reply::GrpcHead(busy)).await, seen);
    for code in 1..=16 {
        let expected = Answer::Grpc { code, message: "no".to_owned(), delay: None };
        assert_eq!(answer(Protocol::OtlpGrpc, Reply::grpc(code, "no")).await, expected);
    }
    let unknown = Answer::Grpc { code: 2, message: String::new(), delay: None };
    assert_eq!(answer(Protocol::OtlpGrpc, Reply::grpc(77, "")).await, unknown);
    assert_eq!(answer(Protocol::OtlpGrpc, Reply::GrpcHead(Status::default())).await, Answer::accepted());
}

#[tokio::test]
async fn http_errors_with_delays_and_bodies() {
    let retry = |value: &str| ("retry-after", value.to_owned());
    let status = Status { code: 8, message: "over quota".to_owned(), ..Status::default() };
    for (reply, expected) in [
        (Reply::Http(503, vec![retry("7")], b"down for now".to_vec()), http(503, "down for now", Some(7))),
        (Reply::Http(429, vec![retry("soon")], Vec::new()), http(429, "", None)),
        (Reply::Http(429, vec![retry("Sun, 06 Nov 1994 08:49:37 GMT")], Vec::new()), http(429, "", Some(0))),
        (
            Reply::Http(
                400,
                vec![("content-type", "application/x-protobuf".to_owned())],
                status.encode(Media::Protobuf),
            ),
            http(400, "over quota", None),
        ),
        (
            Reply::Http(400, vec![("content-type", "application/json".to_owned())], status.encode(Media::Json)),
            http(400, "over quota", None),
        ),
        (
            Reply::Http(301, vec![("location", "https://elsewhere/v1/traces?key=s3cret".to_owned())], Vec::new()),
            http(
                301,
                "redirects to https://elsewhere/v1/traces, which is not followed: set that as the endpoint",
                None,
            ),
        ),
    ] {
        assert_eq!(answer(Protocol::OtlpHttp, reply).await, expected);
    }
}

#[tokio::test]
async fn a_plain_proxy_answers_a_grpc_call() {
    let page = b"<html><h1>502 Bad Gateway</h1></html>".to_vec();
    let bad_gateway = Reply::Http(502, vec![("retry-after", "3".to_owned())], page);
    let expected = http(502, "<html><h1>502 Bad Gateway</h1></html>", Some(3));
    assert_eq!(answer(Protocol::OtlpGrpc, bad_gateway).await, expected);
    assert_eq!(answer(Protocol::OtlpGrpc, Reply::http(404)).await, http(404, "", None));

    // The page does not end, but its status is there.
    let endless = Reply::HttpUnended(503);
    let sink = Sink::start().await;
    sink.always(endless);
    let mut config = network(Protocol::OtlpGrpc, &sink.url());
    config.timeout = Duration::from_secs(2);
    assert_eq!(build(config).send(&plain()).await, http(503, "", None));

    let login = Reply::Http(200, vec![("content-type", "text/html".to_owned())], b"please log in".to_vec());
    let Answer::Broken { at: Break::Reset, message } = answer(Protocol::OtlpGrpc, login).await else {
        panic!("a page is no gRPC answer");
    };
    assert!(message.contains("grpc-status") && message.contains("text/html"), "{message}");
}
