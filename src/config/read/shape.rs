//! Shapes that several sections share: `host:port`, header names.

use super::endpoint::parse_bind;
use crate::config::mistake::{Mistake, Place};
use crate::config::reader::Section;

/// Headers that say how a request is framed or whose it is; they are made for each request and cannot be given.
const FRAMING: &[&str] = &[
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
    "x-source-cluster",
    "x-target-cluster",
];

/// A place to listen at, `host:port`.
pub(super) fn bind(section: &mut Section<'_>, key: &'static str, default: &str) -> String {
    section.scalar(
        key,
        default.to_owned(),
        "host:port, such as 127.0.0.1:4317, [::]:4317, or port 0 for any free one",
        |scalar| parse_bind(&scalar.text).map(|_| scalar.text.clone()),
    )
}

/// The name of a header in lower case; `None` after a complaint.
pub(super) fn header_name(section: &Section<'_>, place: &Place, name: &str) -> Option<String> {
    let complain = |what: String, expected: &str| {
        section.report.mistake(Mistake::new(place.clone(), what).expected(expected));
        None
    };
    let Ok(parsed) = http::HeaderName::from_bytes(name.as_bytes()) else {
        return complain(
            format!("`{name}` cannot be the name of a header"),
            "letters, digits and dashes, such as x-tenant",
        );
    };
    let lower = parsed.as_str().to_owned();
    if FRAMING.contains(&lower.as_str()) || lower.starts_with("grpc-") || lower.starts_with("spillway-") {
        return complain(format!("the header `{name}` is set by spillway itself"), "another header");
    }
    Some(lower)
}
