//! `google.rpc.Status`, the body of every error in OTLP, with the two details that OTLP gives a meaning:
//! RetryInfo on trouble that will pass, BadRequest on a request that is wrong.
//!
//! Source: OTLP specification, "Failures"; google/rpc/status.proto and error_details.proto; the gRPC HTTP/2 protocol
//! for `grpc-message` and `grpc-status-details-bin`.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Value, json};

use super::malformed::Malformed;
use super::media::Media;

/// Longest message that is sent, in bytes. It travels in an HTTP/2 header, where 16 KiB for all is a usual limit,
/// and possibly twice: in `grpc-message` and in the details.
pub const MAX_MESSAGE: usize = 1024;

/// gRPC status codes: their names, and those that the doors answer with (google/rpc/code.proto).
pub mod code {
    /// Names of the gRPC status codes (gRPC specification, "Status codes and their use in gRPC"), by code.
    pub const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];

    /// Name of a code; an unknown one counts as `UNKNOWN`.
    pub fn name(code: u8) -> &'static str {
        NAMES.get(usize::from(code)).unwrap_or(&NAMES[2])
    }

    /// The request is wrong and stays wrong.
    pub const INVALID_ARGUMENT: u8 = 3;
    /// Larger than is taken.
    pub const RESOURCE_EXHAUSTED: u8 = 8;
    /// No such method, or an encoding that is not taken.
    pub const UNIMPLEMENTED: u8 = 12;
    /// Trouble on our side that does not pass by itself.
    pub const INTERNAL: u8 = 13;
    /// Trouble that will pass.
    pub const UNAVAILABLE: u8 = 14;
    /// Credentials missing or wrong.
    pub const UNAUTHENTICATED: u8 = 16;
}

/// One error, as it is told to the other side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// gRPC status code.
    pub code: u8,
    /// One English sentence.
    pub message: String,
    /// RetryInfo: do not come back sooner.
    pub delay: Option<Duration>,
    /// BadRequest: the field at fault and what is wrong with it.
    pub violation: Option<Violation>,
}

/// A field at fault.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Violation {
    /// Path of the field.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

impl Status {
    /// An error without details.
    pub fn new(code: u8, message: impl Into<String>) -> Status {
        Status { code, message: message.into(), ..Status::default() }
    }

    /// UNAVAILABLE with a delay.
    pub fn unavailable(message: impl Into<String>, delay: Duration) -> Status {
        Status { delay: Some(delay), ..Status::new(code::UNAVAILABLE, message) }
    }

    /// INVALID_ARGUMENT with the field at fault.
    pub fn malformed(error: &Malformed) -> Status {
        let violation =
            Violation { field: error.path.clone(), description: format!("{} ({})", error.what, error.place) };
        Status { violation: Some(violation), ..Status::new(code::INVALID_ARGUMENT, error.to_string()) }
    }

    /// The body of an HTTP error, in the encoding of the request. Texts are shortened to [`MAX_MESSAGE`].
    pub fn encode(&self, media: Media) -> Vec<u8> {
        match media {
            Media::Protobuf => prost::Message::encode_to_vec(&self.to_wire()),
            Media::Json => self.to_json().to_string().into_bytes(),
        }
    }

    /// Value of the `grpc-status-details-bin` trailer: base64 without padding, as gRPC wants it written.
    pub fn details_header(&self) -> String {
        STANDARD_NO_PAD.encode(self.encode(Media::Protobuf))
    }

    /// Value of the `grpc-message` trailer.
    pub fn message_header(&self) -> String {
        escape_message(shorten(&self.message))
    }

    /// Reads an HTTP error body. `None` when it is no Status.
    pub fn decode(media: Media, body: &[u8]) -> Option<Status> {
        match media {
            Media::Protobuf => Some(Status::from_wire(prost::Message::decode(body).ok()?)),
            Media::Json => Status::from_json(&serde_json::from_slice(body).ok()?),
        }
    }

    /// Reads a `grpc-status-details-bin` trailer, with padding or without. `None` when it is no Status.
    pub fn from_details_header(value: &str) -> Option<Status> {
        Status::decode(Media::Protobuf, &ANY_PADDING.decode(value.trim()).ok()?)
    }
}

const ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Writes a text as the value of `grpc-message`: everything but printable ASCII, and the percent sign, is escaped.
pub fn escape_message(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// Reads the value of `grpc-message`. Escapes that are none are kept as they are; nothing is ever refused, since a
/// broken error text must not hide the error.
pub fn unescape_message(value: &str) -> String {
    let bytes = value.as_bytes();
    let hex = |at: usize| bytes.get(at).and_then(|digit| char::from(*digit).to_digit(16)).map(|digit| digit as u8);
    let mut text = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                text.push(high << 4 | low);
                at += 3;
            }
            _ => {
                text.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The start of `text`, at most [`MAX_MESSAGE`] bytes.
fn shorten(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_MESSAGE)]
}

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";

/// `google.rpc.Status` and what it holds, as far as OTLP uses it.
mod wire {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Status {
        #[prost(int32, tag = "1")]
        pub(super) code: i32,
        #[prost(string, tag = "2")]
        pub(super) message: String,
        #[prost(message, repeated, tag = "3")]
        pub(super) details: Vec<Any>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Any {
        #[prost(string, tag = "1")]
        pub(super) type_url: String,
        #[prost(bytes = "vec", tag = "2")]
        pub(super) value: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct RetryInfo {
        #[prost(message, optional, tag = "1")]
        pub(super) retry_delay: Option<Duration>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Duration {
        #[prost(int64, tag = "1")]
        pub(super) seconds: i64,
        #[prost(int32, tag = "2")]
        pub(super) nanos: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct BadRequest {
        #[prost(message, repeated, tag = "1")]
        pub(super) field_violations: Vec<FieldViolation>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct FieldViolation {
        #[prost(string, tag = "1")]
        pub(super) field: String,
        #[prost(string, tag = "2")]
        pub(super) description: String,
    }
}

impl Status {
    fn to_wire(&self) -> wire::Status {
        let mut details = Vec::new();
        if let Some(delay) = self.delay {
            let seconds = i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
            let retry_delay = Some(wire::Duration { seconds, nanos: delay.subsec_nanos().cast_signed() });
            details.push(to_any(RETRY_INFO, &wire::RetryInfo { retry_delay }));
        }
        if let Some(Violation { field, description }) = &self.violation {
            let violation =
                wire::FieldViolation { field: shorten(field).to_owned(), description: shorten(description).to_owned() };
            details.push(to_any(BAD_REQUEST, &wire::BadRequest { field_violations: vec![violation] }));
        }
        wire::Status { code: self.code.into(), message: shorten(&self.message).to_owned(), details }
    }

    /// The protobuf JSON mapping: `Any` as an object with `@type`, durations as decimal seconds with an `s`.
    fn to_json(&self) -> Value {
        let mut details = Vec::new();
        if let Some(delay) = self.delay {
            let fraction = format!(".{:09}", delay.subsec_nanos());
            let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
            details.push(json!({"@type": RETRY_INFO, "retryDelay": format!("{}{fraction}s", delay.as_secs())}));
        }
        if let Some(Violation { field, description }) = &self.violation {
            let violation = json!({"field": shorten(field), "description": shorten(description)});
            details.push(json!({"@type": BAD_REQUEST, "fieldViolations": [violation]}));
        }
        json!({"code": self.code, "message": shorten(&self.message), "details": details})
    }

    fn from_wire(status: wire::Status) -> Status {
        let delay = status.details.iter().find_map(|any| read_any::<wire::RetryInfo>(any, RETRY_INFO));
        let fault = status.details.iter().find_map(|any| read_any::<wire::BadRequest>(any, BAD_REQUEST));
        let violation = fault.and_then(|fault| fault.field_violations.into_iter().next());
        Status {
            code: u8::try_from(status.code).unwrap_or(2),
            message: status.message,
            // A delay that is left out is zero; a negative one is garbage.
            delay: delay.map(|info| info.retry_delay.unwrap_or_default()).and_then(|delay| {
                Some(Duration::new(u64::try_from(delay.seconds).ok()?, 0))?
                    .checked_add(Duration::from_nanos(u64::try_from(delay.nanos).ok()?))
            }),
            violation: violation.map(|fault| Violation { field: fault.field, description: fault.description }),
        }
    }

    fn from_json(value: &Value) -> Option<Status> {
        let code = value.as_object()?.get("code").and_then(Value::as_u64);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let details = value["details"].as_array().map(Vec::as_slice).unwrap_or_default();
        let detail = |url: &str| details.iter().find(|detail| type_name(&text(&detail["@type"])) == type_name(url));
        let violation = detail(BAD_REQUEST).and_then(|fault| fault["fieldViolations"].as_array()?.first());
        Some(Status {
            code: code.and_then(|code| u8::try_from(code).ok()).unwrap_or(2),
            message: text(&value["message"]),
            delay: detail(RETRY_INFO).and_then(|info| read_json_delay(info["retryDelay"].as_str()?)),
            violation: violation
                .map(|fault| Violation { field: text(&fault["field"]), description: text(&fault["description"]) }),
        })
    }
}

fn to_any(type_url: &str, message: &impl prost::Message) -> wire::Any {
    wire::Any { type_url: type_url.to_owned(), value: message.encode_to_vec() }
}

fn read_any<M: prost::Message + Default>(any: &wire::Any, type_url: &str) -> Option<M> {
    (type_name(&any.type_url) == type_name(type_url)).then(|| M::decode(any.value.as_slice()).ok())?
}

/// The message name behind the last slash; the host in front of it is anybody's.
fn type_name(type_url: &str) -> &str {
    type_url.rsplit('/').next().unwrap_or_default()
}

/// Reads a protobuf JSON duration: `5s`, `1.5s`.
fn read_json_delay(text: &str) -> Option<Duration> {
    let seconds = text.strip_suffix('s')?;
    let plain = seconds.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if plain { Duration::try_from_secs_f64(seconds.parse().ok()?).ok() } else { None }
}

#[cfg(test)]
mod tests;
