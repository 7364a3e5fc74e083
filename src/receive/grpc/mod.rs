//! OTLP/gRPC, framed by hand on HTTP/2, so that compressed bodies stay compressed.
//!
//! Source: gRPC over HTTP/2 (PROTOCOL-HTTP2), gRPC compression, health checking protocol v1.

mod frame;
mod health;
mod reply;

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;

use self::frame::Message;
use self::reply::Reply;
use super::accept::{Call, Gate, accept};
use super::budget::Budget;
use super::refusal::Refusal;
use super::stats::Transport;
use crate::batch::{Encoding, Signal};
use crate::otlp::media::Media;
use crate::otlp::status::{Status, code};

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Answers one request of the gRPC door.
pub(super) async fn answer(gate: &Gate, connection: Arc<Budget>, request: Request<Incoming>) -> Response<Reply> {
    let (head, body) = request.into_parts();
    let content_type = head.headers.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    if head.method != Method::POST || !content_type.starts_with(b"application/grpc") {
        return reply::not_grpc();
    }
    let path = head.uri.path();
    if let Some(signal) = Signal::ALL.into_iter().find(|signal| signal.grpc_path() == path) {
        let call = Call {
            transport: Transport::Grpc,
            signal,
            form: encoding(&head.headers).map(|encoding| (Media::Protobuf, encoding)),
            deadline: head.headers.get(GRPC_TIMEOUT).and_then(|value| timeout(value.to_str().ok()?)),
            headers: head.headers,
            connection,
            source: Message::new(body),
        };
        return match accept(gate, call).await {
            Ok(()) => reply::message(&[]),
            Err(refusal) => reply::refused(&refusal),
        };
    }
    match path {
        health::CHECK => health::check(body).await,
        _ => reply::failed(&Status::new(code::UNIMPLEMENTED, format!("there is no method {}", shown(path)))),
    }
}

/// How messages of this stream are compressed, where they are.
fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let Some(value) = headers.get(GRPC_ENCODING) else { return Ok(Encoding::Identity) };
    let known = value.to_str().ok().and_then(Encoding::from_wire);
    known.ok_or_else(|| Refusal::Encoding { name: Refusal::quote(value) })
}

/// Reads a `grpc-timeout`: at most eight digits and a unit. `None` for anything else.
///
/// It bounds the wait for room. A request further on is not cut short: the client resets its stream at its deadline,
/// which ends the request here too, and a batch that is on its way to the disk stays there.
fn timeout(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u32 = digits.parse().ok()?;
    let unit = match unit {
        "H" => Duration::from_secs(3600),
        "M" => Duration::from_secs(60),
        "S" => Duration::from_secs(1),
        "m" => Duration::from_millis(1),
        "u" => Duration::from_micros(1),
        "n" => Duration::from_nanos(1),
        _ => return None,
    };
    Some(unit * amount)
}

/// A path short enough to be repeated to its sender.
fn shown(path: &str) -> &str {
    &path[..path.floor_char_boundary(128)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deadlines as clients write them, right and wrong.
    /// Guarantees the time each stands for, and that garbage is no deadline.
    #[test]
    fn deadlines_as_clients_write_them() {
        let millis = |n| Some(Duration::from_millis(n));
        for (value, deadline) in [
            ("5S", millis(5_000)),
            ("4999m", millis(4_999)),
            ("1M", millis(60_000)),
            ("99999999H", millis(99_999_999 * 3_600_000)),
            ("1000000n", millis(1)),
            ("2000u", millis(2)),
            ("", None),
            ("S", None),
            ("5", None),
            ("-5S", None),
            ("123456789S", None),
            ("5 S", None),
            ("5µ", None),
        ] {
            assert_eq!(timeout(value), deadline, "{value:?}");
        }
    }
}
