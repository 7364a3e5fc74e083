//! What comes back from a gRPC call: a message and trailers, trailers alone, or the page of a proxy.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;

use super::frame;
use crate::batch::{Encoding, Signal};
use crate::otlp::answer::{Answer, Break};
use crate::otlp::inflate::Inflater;
use crate::otlp::media::Media;
use crate::otlp::response;
use crate::otlp::status::{self, Status};
use crate::target::words::{self, RESPONSE_LIMIT, header};

/// A whole answer.
pub(super) struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

/// Reads an answer to its end; of its body no more than [`RESPONSE_LIMIT`] is kept, the rest is thrown away unread.
///
/// # Errors
/// [`Elapsed`] when it does not end before the deadline. What matters of a proxy's page is its status, which is there
/// whether the page ends or not.
pub(super) async fn read(response: Response<Body>, deadline: Instant) -> Result<Result<Reply, Answer>, Elapsed> {
    let (head, mut body) = response.into_parts();
    let is_page = head.status != StatusCode::OK;
    let (mut kept, mut trailers) = (BytesMut::new(), None);
    loop {
        let frame = match timeout_at(deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => break,
            Ok(Some(Err(_))) | Err(_) if is_page => break,
            Ok(Some(Err(error))) => {
                return Ok(Err(Answer::Broken { at: Break::Reset, message: words::chain(&error) }));
            }
            Err(elapsed) => return Err(elapsed),
        };
        match frame.into_data() {
            Ok(data) => {
                let room = (RESPONSE_LIMIT + frame::PREFIX).saturating_sub(kept.len());
                kept.extend_from_slice(&data[..data.len().min(room)]);
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok(Ok(Reply { status: head.status, headers: head.headers, body: kept.freeze(), trailers }))
}

impl Reply {
    /// The message of a call that ended well; anything else is an answer that says how it ended.
    pub(super) fn into_message(self) -> Result<Bytes, Answer> {
        // An answer without a message may carry its status in the head ("Trailers-Only").
        let ends = [self.trailers.as_ref(), Some(&self.headers)];
        let Some(end) = ends.into_iter().flatten().find(|end| end.contains_key("grpc-status")) else {
            return Err(self.without_status());
        };
        match header(end, "grpc-status").and_then(|code| code.trim().parse::<u8>().ok()) {
            Some(0) => Ok(self.message()),
            code => Err(failure(code.filter(|code| *code <= 16).unwrap_or(2), end)),
        }
    }

    /// What came of an export.
    pub(super) fn into_answer(self, signal: Signal) -> Answer {
        match self.into_message() {
            Ok(message) => response::read_success(signal, Media::Protobuf, &message),
            Err(answer) => answer,
        }
    }

    /// The answer of a plain HTTP request.
    pub(super) fn into_plain_answer(self) -> Answer {
        match self.status.is_success() {
            true => Answer::accepted(),
            false => self.without_status(),
        }
    }

    /// A message that cannot be read is as good as an empty one: the target said OK.
    fn message(&self) -> Bytes {
        let Some((compressed, message)) = frame::first(&self.body) else { return Bytes::new() };
        if !compressed {
            return message;
        }
        let encoding = header(&self.headers, "grpc-encoding").and_then(Encoding::from_wire);
        let mut inflater = Inflater::new();
        let inflated = encoding.and_then(|encoding| inflater.inflate(encoding, &message, RESPONSE_LIMIT).ok());
        inflated.map_or_else(Bytes::new, |inflated| Bytes::copy_from_slice(inflated.bytes))
    }

    /// No gRPC server spoke: a proxy did, or nobody to the end. Without a grpc-status no success is one.
    fn without_status(self) -> Answer {
        if self.status.is_success() {
            let kind = header(&self.headers, CONTENT_TYPE.as_str()).unwrap_or("none");
            let message = format!("the answer ended without grpc-status (content type {kind})");
            return Answer::Broken { at: Break::Reset, message };
        }
        let (message, delay) = words::http_error(&self.headers, &self.body);
        Answer::Http { status: self.status.as_u16(), message, delay }
    }
}

fn failure(code: u8, end: &HeaderMap) -> Answer {
    let details = header(end, "grpc-status-details-bin").and_then(Status::from_details_header).unwrap_or_default();
    let message = match end.get("grpc-message") {
        Some(value) => status::unescape_message(&String::from_utf8_lossy(value.as_bytes())),
        None => details.message,
    };
    Answer::Grpc { code, message, delay: details.delay }
}
