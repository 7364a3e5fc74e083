//! What other people's answers and errors say, as text that fits into a log line.

use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

use http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};

use crate::otlp::hint;
use crate::otlp::media::Media;
use crate::otlp::status::Status;

/// Most of a response that is read, in bytes, compressed and inflated (OTLP specification: clients limit responses).
pub(super) const RESPONSE_LIMIT: usize = 4 << 20;

/// Most of an error body that is shown, in bytes.
const SHOWN: usize = 512;

/// An error and its causes, the outermost first.
///
/// An `io::Error` made from another error passes for it and names only that error's cause: here it is looked into.
pub(super) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let error = *error;
        let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inside.map(|inside| inside as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

/// The words of an error and all its causes. A cause that its effect already quotes is not repeated.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for cause in causes(error) {
        let words = cause.to_string();
        if !text.contains(&words) {
            let colon = if text.is_empty() { "" } else { ": " };
            text.push_str(colon);
            text.push_str(&words);
        }
    }
    text
}

/// The first of an error and its causes that is a `T`.
pub(super) fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    causes(error).find_map(|error| error.downcast_ref())
}

/// Message and delay of an HTTP error: those of a `google.rpc.Status` in the body, else the start of the body as text.
/// `Retry-After` beats RetryInfo.
pub(super) fn http_error(headers: &HeaderMap, body: &[u8]) -> (String, Option<Duration>) {
    let media = header(headers, CONTENT_TYPE.as_str()).and_then(Media::from_content_type);
    let status = media.and_then(|media| Status::decode(media, body));
    let delay = header(headers, RETRY_AFTER.as_str()).and_then(|value| hint::retry_after(value, SystemTime::now()));
    match status {
        Some(status) if !status.message.is_empty() => (status.message, delay.or(status.delay)),
        Some(status) => (start(body), delay.or(status.delay)),
        None => (start(body), delay),
    }
}

/// The text of a header; `None` when it is missing or no text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The start of a body as one line of text.
fn start(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
    let words: Vec<_> = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn answer(content_type: &'static str, retry_after: Option<&'static str>, body: &[u8]) -> (String, Option<u64>) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        }
        let (message, delay) = http_error(&headers, body);
        (message, delay.map(|delay| delay.as_secs()))
    }

    /// Scenario: error bodies as collectors, backends and plain proxies send them.
    /// Guarantee: a Status is read in both encodings, anything else is shown as text in one line.
    #[test]
    fn error_bodies() {
        let status = Status::unavailable("queue is full", Duration::from_secs(3));
        let protobuf = status.encode(Media::Protobuf);
        assert_eq!(answer("application/x-protobuf", None, &protobuf), ("queue is full".to_owned(), Some(3)));
        assert_eq!(answer("application/x-protobuf", Some("9"), &protobuf).1, Some(9));
        let json = br#"{"code":14,"message":"try later"}"#;
        assert_eq!(answer("application/json; charset=utf-8", None, json), ("try later".to_owned(), None));
        let page = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n";
        let shown = "<html> <head><title>502 Bad Gateway</title></head>".to_owned();
        assert_eq!(answer("text/html", Some("soon"), page), (shown, None));
        assert_eq!(answer("application/json", None, b"[\"no\", \"status\"]").0, "[\"no\", \"status\"]");
        assert_eq!(answer("text/plain", None, &[b'x'; 5000]).0.len(), SHOWN);
        assert_eq!(answer("text/plain", None, b"").0, "");
    }
}
