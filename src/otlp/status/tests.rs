//! Statuses there and back, and as other servers write them.

use proptest::prelude::*;

use super::*;
use crate::otlp::malformed::Place;

fn delayed() -> Status {
    Status::unavailable("the queue is full", Duration::from_millis(1500))
}

fn violated() -> Status {
    Status::malformed(&Malformed {
        path: "resourceLogs[0]".to_owned(),
        what: "expected a list".to_owned(),
        place: Place::Text { line: 1, column: 7 },
    })
}

/// The two errors with a detail, in JSON.
/// Guarantees the spelling of the protobuf JSON mapping, which clients parse.
#[test]
fn json_is_spelled_as_protobuf_spells_it() {
    let text = |status: Status| String::from_utf8(status.encode(Media::Json)).unwrap();
    let same = |text: &str, value: Value| assert_eq!(serde_json::from_str::<Value>(text).unwrap(), value);
    same(
        &text(delayed()),
        json!({"code": 14, "message": "the queue is full",
               "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"}]}),
    );
    same(
        &text(violated()),
        json!({"code": 3, "message": "resourceLogs[0]: expected a list (at line 1, column 7)",
               "details": [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations":
                   [{"field": "resourceLogs[0]", "description": "expected a list (at line 1, column 7)"}]}]}),
    );
    assert!(text(Status::unavailable("", Duration::from_secs(10))).contains("\"10s\""));
}

/// The same in protobuf, against bytes made by hand from the `.proto` files.
/// Guarantees field numbers and type names.
#[test]
fn protobuf_has_the_numbers_of_the_proto_files() {
    let url = b"type.googleapis.com/google.rpc.RetryInfo";
    // retry_delay = 1 {seconds = 1: 1, nanos = 2: 500_000_000}
    let info = [0x0a, 0x08, 0x08, 0x01, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01];
    let detail = [&[0x0a, url.len() as u8], &url[..], &[0x12, info.len() as u8], &info].concat();
    let message = b"the queue is full";
    let status = [&[0x08, 14, 0x12, message.len() as u8], &message[..], &[0x1a, detail.len() as u8], &detail].concat();
    assert_eq!(delayed().encode(Media::Protobuf), status);
    assert_eq!(STANDARD_NO_PAD.decode(delayed().details_header()).unwrap(), status);
}

/// `grpc-status-details-bin` with padding and without, and what is none.
/// Guarantees that both are read (gRPC demands it of receivers) and that garbage is no delay.
#[test]
fn details_are_read_with_any_padding() {
    for status in [delayed(), violated(), Status::new(code::INTERNAL, "x"), Status::new(code::INTERNAL, "xy")] {
        let bare = status.details_header();
        let padded = format!("{bare}{}", "=".repeat((4 - bare.len() % 4) % 4));
        assert_eq!(Status::from_details_header(&bare), Some(status.clone()));
        assert_eq!(Status::from_details_header(&padded), Some(status));
    }
    for garbage in ["!", "AA=A", "CAE", "/////w"] {
        assert_eq!(Status::from_details_header(garbage).and_then(|status| status.delay), None, "{garbage}");
    }
}

/// Error bodies as other servers write them.
/// Guarantees that message and delay are found, and that other texts are no Status.
#[test]
fn error_bodies_of_other_servers() {
    let read = |text: &str| Status::decode(Media::Json, text.as_bytes());
    let retry = |delay: &str| {
        read(&format!(r#"{{"code":8,"details":[{{"@type":"x/other"}},{{"@type":"x/google.rpc.RetryInfo",{delay}}}]}}"#))
            .unwrap()
            .delay
    };
    assert_eq!(retry(r#""retryDelay":"30s""#), Some(Duration::from_secs(30)));
    assert_eq!(retry(r#""retryDelay":"0.25s""#), Some(Duration::from_millis(250)));
    for garbage in ["\"-1s\"", "\"soon\"", "\"1e3s\"", "\"99999999999999999999999999s\"", "5", "null", "\"s\""] {
        assert_eq!(retry(&format!("\"retryDelay\":{garbage}")), None, "{garbage}");
    }
    assert_eq!(read(r#"{"code":3,"message":"bad"}"#), Some(Status::new(3, "bad")));
    assert_eq!(read(r#"{"error":"bad"}"#), Some(Status::new(2, "")));
    for other in ["", "bad gateway", "[]", "\"no\"", "<html></html>"] {
        assert_eq!(read(other), None);
    }
    assert_eq!(Status::decode(Media::Protobuf, b"bad gateway"), None);
}

/// A RetryInfo with a delay that is negative, left out, or longer than time.
/// Guarantees that nonsense is no delay, and that none given is one of zero.
#[test]
fn odd_delays() {
    let with = |retry_delay| {
        let details = vec![to_any(RETRY_INFO, &wire::RetryInfo { retry_delay })];
        Status::from_wire(wire::Status { code: 14, message: String::new(), details }).delay
    };
    let delay = |seconds, nanos| with(Some(wire::Duration { seconds, nanos }));
    assert_eq!(with(None), Some(Duration::ZERO));
    assert_eq!(delay(5, 1), Some(Duration::new(5, 1)));
    assert_eq!(delay(-5, 0), None);
    assert_eq!(delay(5, -1), None);
    assert_eq!(delay(i64::MAX, i32::MAX), Some(Duration::new(i64::MAX as u64 + 2, 147_483_647)));
}

/// Texts of a megabyte, of one-byte and of four-byte characters.
/// Guarantees that an answer stays small, in every form, and far below the 4 MiB that clients read; and that no character is cut in two.
#[test]
fn long_texts_are_shortened() {
    const { assert!(6 * MAX_MESSAGE <= 1 << 20) };
    for letter in ["a", "é", "日", "😀"] {
        let long = format!("x{}", letter.repeat(1 << 20));
        let status = Status::malformed(&Malformed { path: long.clone(), what: long.clone(), place: Place::Byte(0) });
        for media in [Media::Protobuf, Media::Json] {
            let body = status.encode(media);
            assert!(body.len() < 4 * MAX_MESSAGE);
            assert!(long.starts_with(&Status::decode(media, &body).unwrap().message));
        }
        assert!(status.message_header().len() <= 3 * MAX_MESSAGE);
        assert!(long.starts_with(&unescape_message(&status.message_header())));
        assert!(status.details_header().len() < 6 * MAX_MESSAGE);
    }
}

/// Messages with percent signs, line feeds and letters beyond ASCII, and broken escapes.
/// Guarantees the spelling of the gRPC protocol, and that what is no escape stands for itself.
#[test]
fn messages_are_percent_encoded() {
    for (text, escaped) in [("100%25", "100%2525"), ("a\nb\u{7f}", "a%0Ab%7F"), ("é~ ", "%C3%A9~ ")] {
        assert_eq!(escape_message(text), escaped);
        assert_eq!(unescape_message(escaped), text);
    }
    for (value, text) in [("%", "%"), ("%4", "%4"), ("%zz%41", "%zzA"), ("%c3%a9", "é"), ("%FF", "\u{fffd}")] {
        assert_eq!(unescape_message(value), text);
    }
}

proptest! {
    /// Any text at all.
    /// Guarantees that `grpc-message` carries it, in bytes that a header may hold.
    #[test]
    fn messages_survive_the_header(text: String) {
        let escaped = escape_message(&text);
        prop_assert!(escaped.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        prop_assert_eq!(unescape_message(&escaped), text);
    }

    /// Any header at all.
    /// Guarantees that none makes the reader panic, and that one without escapes is read as it is.
    #[test]
    fn no_header_makes_it_panic(value: String) {
        let text = unescape_message(&value);
        prop_assert!(value.contains('%') || text == value);
    }

    /// Any status, in both encodings.
    /// Guarantees that it is read as it was written.
    #[test]
    fn statuses_survive(code: u8, message: String, delay: Option<u32>, field: Option<String>) {
        let status = Status {
            code,
            message,
            delay: delay.map(|millis| Duration::from_millis(millis.into())),
            violation: field.map(|field| Violation { description: field.chars().rev().collect(), field }),
        };
        for media in [Media::Protobuf, Media::Json] {
            prop_assert_eq!(Status::decode(media, &status.encode(media)), Some(status.clone()));
        }
    }
}
