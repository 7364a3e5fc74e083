//! Answers of the HTTP door: each in the encoding of its request, each error a `google.rpc.Status`.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, StatusCode};

use crate::otlp::media::Media;
use crate::otlp::response;
use crate::otlp::status::{Status, code};
use crate::receive::refusal::Refusal;

/// gRPC status code of what is not there; OTLP gives it no meaning of its own.
const NOT_FOUND: u8 = 5;

/// Full success.
pub(super) fn success(media: Media) -> Response {
    answer(StatusCode::OK, media, Bytes::from_static(response::success(media)))
}

/// An export that was not taken.
pub(super) fn refused(refusal: &Refusal, media: Media) -> Response {
    let mut response = failed(refusal.http(), &refusal.status(), media);
    if let Some(delay) = refusal.retry_after() {
        // Whole seconds, and never less than was meant.
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        put(&mut response, RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    match refusal {
        Refusal::Encoding { .. } => {
            put(&mut response, ACCEPT_ENCODING, HeaderValue::from_static(Refusal::ENCODINGS));
        }
        Refusal::Media { .. } => {
            put(&mut response, ACCEPT, HeaderValue::from_static("application/x-protobuf,application/json"));
        }
        Refusal::Unauthenticated(schemes) => {
            response.headers_mut().extend(schemes.challenges().map(|challenge| (WWW_AUTHENTICATE, challenge)));
        }
        _ => {}
    }
    response
}

/// A path that is none of OTLP's three.
pub(super) fn wrong_path(path: &str, media: Media) -> Response {
    let path = &path[..path.floor_char_boundary(128)];
    let text = format!("there is nothing at {path}; OTLP/HTTP is spoken at /v1/traces, /v1/metrics and /v1/logs");
    failed(StatusCode::NOT_FOUND, &Status::new(NOT_FOUND, text), media)
}

/// Anything but POST.
pub(super) fn wrong_method(method: &Method, media: Media) -> Response {
    let method = method.as_str();
    let text = format!("{} is not allowed here; OTLP/HTTP exports with POST", &method[..method.len().min(32)]);
    let mut response = failed(StatusCode::METHOD_NOT_ALLOWED, &Status::new(code::UNIMPLEMENTED, text), media);
    put(&mut response, ALLOW, HeaderValue::from_static("POST"));
    response
}

fn failed(code: StatusCode, status: &Status, media: Media) -> Response {
    answer(code, media, Bytes::from(status.encode(media)))
}

fn answer(code: StatusCode, media: Media, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = code;
    put(&mut response, CONTENT_TYPE, HeaderValue::from_static(media.content_type()));
    response
}

fn put(response: &mut Response, name: HeaderName, value: HeaderValue) {
    response.headers_mut().insert(name, value);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Delays of a fraction of a second, of some seconds and a bit, and of none.
    /// Guarantees that Retry-After is whole seconds, at least one, and never less than was meant.
    #[test]
    fn retry_after_is_whole_seconds_rounded_up() {
        for (millis, seconds) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (29_500, "30")] {
            let refusal = Refusal::Full { retry_after: Duration::from_millis(millis) };
            let response = refused(&refusal, Media::Protobuf);
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers()[RETRY_AFTER], seconds, "{millis} ms");
        }
    }
}
