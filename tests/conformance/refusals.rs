//! What a server has to refuse, and how: SRV-04 to SRV-07, SRV-14, SRV-22, SRV-24, SRV-25, SRV-28.

use spillway::batch::{Encoding, Signal};
use spillway::otlp::status::Status;

use crate::peer::{Answer, Carried, Peer, Way};
use crate::support::samples::encoded;

/// Answers are at most this long.
const LONGEST: usize = 4 << 20;

/// The status of a refusal: over gRPC with its details, over HTTP with the status code, in the encoding of the request.
fn refused(way: Way, answer: &Answer) -> (u16, Status) {
    match answer {
        Answer::Grpc(answer) => {
            assert_eq!(answer.http, 200);
            let details = answer.details().unwrap_or_default();
            (0, Status { code: answer.status(), message: answer.message(), ..details })
        }
        Answer::Http(answer) => {
            assert!(answer.header("content-type").starts_with(way.content_type()), "{answer:?}");
            (answer.status, answer.error())
        }
    }
}

/// A request over the limit: plain, or small and inflating past it.
pub(crate) async fn too_large(peer: Peer, way: Way) {
    let answer = peer.send(way, Signal::Logs, &vec![b' '; peer.limit + 1]).await;
    let (http, status) = refused(way, &answer);
    assert_eq!(status.code, 8, "{status:?}");
    assert_eq!(status.delay, None, "RetryInfo means: send it again");
    if way.by != Carried::Grpc {
        assert_eq!(http, 413);
    }
}

/// A length that is announced and never comes.
pub(crate) async fn false_length(peer: Peer, way: Way) {
    for length in [(peer.limit + 1).to_string(), "18446744073709551613".to_owned()] {
        let mut http = peer.http().await;
        http.head("POST", "/v1/logs", &[&way.headers()[..], &[("content-length", &length)]].concat()).await;
        http.send(b"{}").await;
        assert_eq!(http.answer().await.status, 413, "{length}");
    }
}

/// Bytes that are no request, with a long text in them, and compressed bytes that are damaged.
pub(crate) async fn undecodable(peer: Peer, way: Way) {
    let nonsense = match way.by {
        Carried::Json => [b"{\"", &b"x".repeat(100_000)[..], b"\": "].concat(),
        // A resource whose field 1 is longer than the resource.
        _ => [&b"\x0a\x03\x0a\x7f"[..], &b"x".repeat(100_000)].concat(),
    };
    let mut bodies = vec![encoded(way.encoding, &nonsense)];
    if way.encoding != Encoding::Identity {
        let whole = encoded(way.encoding, &b"some text ".repeat(50));
        bodies.extend([whole[..whole.len() - 6].to_vec(), b"not compressed".to_vec()]);
    }
    for body in bodies {
        let answer = peer.send_raw(way, Signal::Traces, &body).await;
        let (http, status) = refused(way, &answer);
        assert_eq!(status.code, 3, "{status:?}");
        assert_eq!(status.delay, None);
        assert!(!status.message.is_empty() && status.message.is_ascii(), "{status:?}");
        if let Answer::Http(answer) = &answer {
            assert_eq!(http, 400);
            assert!(answer.body.len() < LONGEST);
            assert_eq!(answer.header("retry-after"), "");
        }
    }
    assert!(peer.took_nothing().await, "what cannot be read was queued");
}

/// What is wrong, and where.
pub(crate) async fn says_where(peer: Peer, way: Way) {
    let body = match way.by {
        Carried::Json => &br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":{}}]}]}]}"#[..],
        _ => b"\x0a\x06\x12\x04\x12\x02\x09\x00", // a log record that ends in the middle of its time
    };
    let (_, status) = refused(way, &peer.send(way, Signal::Logs, body).await);
    assert_eq!(status.code, 3);
    let violation = status.violation.expect("a BadRequest detail");
    assert!(!violation.field.is_empty() && !violation.description.is_empty(), "{violation:?}");
}

/// Other paths, methods and types.
pub(crate) async fn elsewhere(peer: Peer, way: Way) {
    if way.by == Carried::Grpc {
        let message = crate::support::grpc::framed(0, b"");
        let path = "/opentelemetry.proto.collector.logs.v1.LogsService/Import";
        assert_eq!(peer.grpc().await.call(path, &[], &[&message]).await.unwrap().status(), 12);
        return;
    }
    let mut http = peer.http().await;
    let answers = [
        (404, http.post("/v1/nothing", &way.headers(), b"").await),
        (405, {
            http.head("GET", "/v1/logs", &way.headers()).await;
            http.answer().await
        }),
    ];
    for (expected, answer) in answers {
        let (status, error) = refused(way, &Answer::Http(answer));
        assert_eq!((status, error.code != 0), (expected, true), "{error:?}");
    }
    let answer = http.post("/v1/logs", &[("content-type", "text/plain")], b"").await;
    assert_eq!((answer.status, answer.error().code != 0), (415, true), "{answer:?}");
    let body = encoded(way.encoding, if way.by == Carried::Json { b"{}" } else { b"" });
    assert_eq!(http.post("/v1/logs", &way.headers(), &body).await.status, 200, "the connection goes on");
}
