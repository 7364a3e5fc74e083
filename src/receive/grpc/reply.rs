//! Answers of the gRPC door: a message with trailers, or trailers alone.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use crate::otlp::status::{Status, code};
use crate::receive::refusal::Refusal;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// What a request gets that has mistaken the door: most often OTLP/HTTP sent to the port of OTLP/gRPC.
const NOT_GRPC: &str = "this port speaks OTLP/gRPC over HTTP/2; OTLP/HTTP is spoken on another port, usually 4318\n";

/// The body of an answer.
#[derive(Debug)]
pub(in crate::receive) enum Reply {
    /// A message in its frame, then the trailers of success.
    Message(Bytes),
    /// The trailers of success.
    Trailers,
    /// Plain text, for those who do not speak gRPC.
    Text(&'static str),
    /// Nothing, or nothing more.
    End,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let (frame, next) = match std::mem::replace(&mut *self, Reply::End) {
            Reply::Message(bytes) => (Frame::data(bytes), Reply::Trailers),
            Reply::Trailers => {
                let ok = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
                (Frame::trailers(ok), Reply::End)
            }
            Reply::Text(text) => (Frame::data(Bytes::from_static(text.as_bytes())), Reply::End),
            Reply::End => return Poll::Ready(None),
        };
        *self = next;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Reply::End)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Reply::Text(text) => SizeHint::with_exact(text.len() as u64),
            Reply::End => SizeHint::with_exact(0),
            // No exact length, so that no content-length is sent: gRPC answers end with trailers.
            Reply::Message(_) | Reply::Trailers => SizeHint::default(),
        }
    }
}

/// Success, with an uncompressed message. That of an export is empty: `partial_success` is left unset.
pub(super) fn message(message: &[u8]) -> Response<Reply> {
    const EMPTY: Bytes = Bytes::from_static(&[0; 5]);
    let framed = match message.len() {
        0 => EMPTY,
        len => {
            let mut framed = BytesMut::with_capacity(5 + len);
            framed.put_u8(0);
            framed.put_u32(u32::try_from(len).expect("our own messages are short"));
            framed.put_slice(message);
            framed.freeze()
        }
    };
    with_grpc_type(Reply::Message(framed))
}

/// Failure: trailers alone, with RetryInfo or BadRequest where `status` has them.
pub(super) fn failed(status: &Status) -> Response<Reply> {
    let mut response = with_grpc_type(Reply::End);
    let headers = response.headers_mut();
    headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(status.code)));
    put(headers, GRPC_MESSAGE, &status.message_header());
    if status.delay.is_some() || status.violation.is_some() {
        put(headers, GRPC_DETAILS, &status.details_header());
    }
    response
}

/// Failure of an export.
pub(super) fn refused(refusal: &Refusal) -> Response<Reply> {
    let status = refusal.status();
    let mut response = failed(&status);
    if status.code == code::UNIMPLEMENTED {
        put(response.headers_mut(), GRPC_ACCEPT_ENCODING, Refusal::ENCODINGS);
    }
    response
}

/// What is no gRPC call gets an HTTP error (PROTOCOL-HTTP2: 415), and a sentence.
pub(super) fn not_grpc() -> Response<Reply> {
    let mut response = Response::new(Reply::Text(NOT_GRPC));
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    put(response.headers_mut(), CONTENT_TYPE, "text/plain; charset=utf-8");
    response
}

fn with_grpc_type(reply: Reply) -> Response<Reply> {
    let mut response = Response::new(reply);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// Sets a header whose value is printable ASCII; one that is not is left out rather than breaking the answer.
fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
