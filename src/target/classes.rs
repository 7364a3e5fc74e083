//! The table of response classes, cell by cell: from the bytes that a server or a proxy in front of it answers to the class.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use tonic::body::Body;

use super::{grpc, http as plain};
use crate::batch::Signal;
use crate::otlp::answer::Answer;
use crate::otlp::class::{Class, MAX_FLOOR, classify, floor};
use crate::otlp::media::Media;
use crate::otlp::status::Status;

/// What an answer means: alone, alone with a delay, with others in flight, with others in flight and with a delay. One class stands
/// for all four. `size` rows are answers whose text complains about the size of the message, the others say anything else.
///
/// Written from the design of delivery, line by line, and read against it; the code has to follow.
const TABLE: &str = "
    over   answer                      alone      delayed    crowd      both

    http   200 201 202 204 206         ok
    http   300 301 302 303 307 308     unlisted
    http   400                         refused
    http   400 size                    too_large
    http   401 403 404 405 415         endpoint
    http   402 406 407 408 409 410     unlisted
    http   411 412 414 416 417 421     unlisted
    http   422 423 424 425 426 428     unlisted
    http   431 451 499                 unlisted
    http   413                         too_large
    http   429                         throttle
    http   500 501 505 506 507 508     unlisted
    http   510 511 520 522 524 529 530 unlisted
    http   502 504                     transient
    http   503                         transient  throttle   throttle   throttle

    grpc   0                           ok
    grpc   1 4 10 15                   transient
    grpc   2 5 6 13                    unlisted
    grpc   17 99 255 x                 unlisted
    grpc   3 9                         refused
    grpc   7 12 16                     endpoint
    grpc   8                           throttle
    grpc   8 size                      too_large  throttle   too_large  throttle
    grpc   11                          transient
    grpc   11 size                     too_large
    grpc   14                          transient  throttle   throttle   throttle

    proxy  200 201 202 204 206         transient
    proxy  300 301 302 303 307 308     unlisted
    proxy  400                         refused
    proxy  400 size                    too_large
    proxy  401 403 404 405 415         endpoint
    proxy  402 406 407 408 411 414     unlisted
    proxy  421 422 426 431 499         unlisted
    proxy  413                         too_large
    proxy  429                         throttle
    proxy  500 501 505 511 520 530     unlisted
    proxy  502 504                     transient
    proxy  503                         transient  throttle   throttle   throttle
";

/// Answers that speak of something else than size.
const WORDS: [&str; 3] = ["", "no", "data refused due to high memory usage"];

const SIZE_WORDS: [&str; 3] = [
    "grpc: received message larger than max (5242880 vs. 4194304)",
    "http: request body too large",
    "Error, decoded message length too large: found 5242880 bytes, the limit is: 4194304 bytes",
];

/// A row: who answers, what, whether about size, and the class in each of the four circumstances.
struct Row {
    over: &'static str,
    answer: &'static str,
    size: bool,
    classes: [Class; 4],
}

fn rows() -> Vec<Row> {
    let class = |word: &str| Class::ALL.into_iter().find(|class| class.as_str() == word);
    let lines = TABLE.lines().map(str::split_whitespace).filter(|line| line.clone().count() > 1).skip(1);
    lines
        .flat_map(|mut line| {
            let over = line.next().unwrap();
            let (classes, answers): (Vec<_>, Vec<_>) = line.partition(|word| class(word).is_some());
            let classes: Vec<Class> = classes.into_iter().filter_map(class).collect();
            let classes = match classes[..] {
                [one] => [one; 4],
                [alone, delayed, crowd, both] => [alone, delayed, crowd, both],
                _ => panic!("{over} {answers:?}: {classes:?}"),
            };
            let size = answers.contains(&"size");
            let answers: Vec<&str> = answers.into_iter().filter(|answer| *answer != "size").collect();
            answers.into_iter().map(move |answer| Row { over, answer, size, classes })
        })
        .collect()
}

/// A hint as a `Retry-After` header, and what it comes to.
const RETRY_AFTER: [(&str, Option<Duration>); 8] = [
    ("", None),
    ("soon", None),
    ("-5", None),
    ("1.5", None),
    ("0", Some(Duration::ZERO)),
    ("7", Some(Duration::from_secs(7))),
    ("Sun, 06 Nov 1994 08:49:37 GMT", Some(Duration::ZERO)),
    ("99999999999999999999", Some(MAX_FLOOR)),
];

/// A hint as RetryInfo, and what it comes to.
const RETRY_INFO: [(Option<u64>, Option<Duration>); 4] = [
    (None, None),
    (Some(0), Some(Duration::ZERO)),
    (Some(7), Some(Duration::from_secs(7))),
    (Some(86_400), Some(MAX_FLOOR)),
];

fn status(words: &str, delay: Option<u64>) -> Status {
    Status { delay: delay.map(Duration::from_secs), ..Status::new(13, words) }
}

/// Content type, content encoding and body of a plain HTTP answer that says `words`.
fn pages(words: &str, delay: Option<u64>) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let status = status(words, delay);
    let protobuf = status.encode(Media::Protobuf);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut gzip, &protobuf).unwrap();
    let mut pages = vec![
        ("application/x-protobuf", "", protobuf),
        ("application/json", "", status.encode(Media::Json)),
        ("application/x-protobuf", "gzip", gzip.finish().unwrap()),
    ];
    if delay.is_none() {
        let html = format!("<html><head><title>{words}</title></head></html>");
        pages.push(("text/html; charset=utf-8", "", html.into_bytes()));
        pages.push(("text/plain", "", words.as_bytes().to_vec()));
        pages.push(("", "", words.as_bytes().to_vec()));
    }
    pages
}

/// Every plain HTTP answer of a row, with what its hint comes to.
fn plain_answers(row: &Row) -> Vec<(Response<Bytes>, Option<Duration>)> {
    let mut answers = Vec::new();
    for words in if row.size { SIZE_WORDS } else { WORDS } {
        for (value, after) in RETRY_AFTER {
            for (in_body, info) in RETRY_INFO.into_iter().filter(|(in_body, _)| value.is_empty() || in_body.is_none()) {
                for (kind, encoding, body) in pages(words, in_body) {
                    let mut answer = Response::new(Bytes::from(body));
                    *answer.status_mut() = row.answer.parse().unwrap();
                    for (name, value) in
                        [("content-type", kind), ("content-encoding", encoding), ("retry-after", value)]
                    {
                        if !value.is_empty() {
                            answer.headers_mut().insert(name, HeaderValue::from_static(value));
                        }
                    }
                    // A gRPC call's proxy does not compress its page; nobody would read it.
                    if row.over == "http" || encoding.is_empty() {
                        answers.push((answer, after.or(info)));
                    }
                }
            }
        }
    }
    answers
}

/// Every gRPC answer of a row: status in the trailers or in the head, with and without a message, readable and not.
fn grpc_answers(row: &Row) -> Vec<(Response<Body>, Option<Duration>)> {
    let messages: [&[u8]; 4] = [b"", &[0, 0, 0, 0, 0], b"\x00\x00\x00\x00\x03\xff\xff\xff", b"\x01\x00\x00\x00\x02no"];
    let mut answers = Vec::new();
    for words in if row.size { SIZE_WORDS } else { WORDS } {
        for (delay, comes_to) in RETRY_INFO {
            for details in [status(words, delay).details_header(), "%%%".to_owned()] {
                if details == "%%%" && delay.is_some() {
                    continue;
                }
                let mut end = HeaderMap::new();
                end.insert("grpc-status", HeaderValue::from_static(row.answer));
                end.insert("grpc-message", HeaderValue::from_str(&status(words, None).message_header()).unwrap());
                end.insert("grpc-status-details-bin", HeaderValue::from_str(&details).unwrap());
                let mut head = Response::new(Body::empty());
                *head.headers_mut() = end.clone();
                answers.push((head, comes_to));
                for message in messages {
                    let frames = [Frame::data(Bytes::from_static(message)), Frame::trailers(end.clone())];
                    let frames = futures_util::stream::iter(frames.map(Ok::<_, std::convert::Infallible>));
                    answers.push((Response::new(Body::new(StreamBody::new(frames))), comes_to));
                }
            }
        }
    }
    answers
}

/// Every row over its transport: all bodies, all hints, alone and with others in flight.
/// Guarantees the class of each cell and the delay of each hint, and that the table has no row twice.
#[tokio::test]
async fn every_cell_of_the_table() {
    let (mut cells, mut seen) = (0, BTreeSet::new());
    for row in rows() {
        assert!(seen.insert((row.over, row.answer, row.size)), "{} {} twice", row.over, row.answer);
        let mut answers: Vec<(Answer, Option<Duration>)> = Vec::new();
        for signal in Signal::ALL {
            if row.over == "grpc" {
                for (response, hint) in grpc_answers(&row) {
                    answers.push((grpc::answer_of(signal, response).await, hint));
                }
                continue;
            }
            for (response, hint) in plain_answers(&row) {
                answers.push(match row.over {
                    "http" => (plain::answer_of(signal, response.map(Into::into)).await, hint),
                    "proxy" => {
                        let response = response.map(|page| Body::new(http_body_util::Full::new(page)));
                        (grpc::answer_of(signal, response).await, hint)
                    }
                    over => panic!("{over}"),
                });
            }
        }
        for (answer, hint) in answers {
            // An answer that is none, or a success, has no delay to respect.
            let hint = hint.filter(|_| !matches!(answer, Answer::Accepted { .. } | Answer::Broken { .. }));
            assert_eq!(floor(&answer), hint, "{} {}: {answer:?}", row.over, row.answer);
            for (crowd, in_flight) in [1, 2].into_iter().enumerate() {
                let class = row.classes[usize::from(hint.is_some()) + 2 * crowd];
                let what = (row.over, row.answer, row.size, hint, in_flight);
                assert_eq!(classify(&answer, in_flight), class, "{what:?}: {answer:?}");
                cells += 1;
            }
        }
    }
    assert!(rows().len() > 110 && cells > 600, "{} rows, {cells} cells", rows().len());
}

/// Every gRPC code, and every HTTP status that has a row over HTTP.
/// Guarantees that no gRPC code is missing.
#[test]
fn every_grpc_code_has_a_row() {
    let codes: BTreeSet<u8> =
        rows().iter().filter(|row| row.over == "grpc").filter_map(|row| row.answer.parse().ok()).collect();
    assert!((0..=17).all(|code| codes.contains(&code)), "{codes:?}");
}
