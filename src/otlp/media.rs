//! The two encodings of OTLP/HTTP messages, by their content type.

/// How an OTLP message is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Media {
    /// Binary protobuf, `application/x-protobuf`.
    Protobuf,
    /// OTLP/JSON, `application/json`.
    Json,
}

impl Media {
    /// Reads a `Content-Type`; parameters such as `charset` are tolerated. `None` for any other type.
    pub fn from_content_type(value: &str) -> Option<Media> {
        let essence = value.split(';').next().unwrap_or_default().trim();
        [Media::Protobuf, Media::Json].into_iter().find(|media| essence.eq_ignore_ascii_case(media.content_type()))
    }

    /// The `Content-Type` of this encoding.
    pub const fn content_type(self) -> &'static str {
        match self {
            Media::Protobuf => "application/x-protobuf",
            Media::Json => "application/json",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Content types as clients spell them, with parameters and in any case.
    /// Guarantees that each is recognised and that nothing else is taken for OTLP.
    #[test]
    fn content_types_are_recognised() {
        for (value, media) in [
            ("application/x-protobuf", Some(Media::Protobuf)),
            ("application/json", Some(Media::Json)),
            ("Application/JSON; charset=utf-8", Some(Media::Json)),
            ("application/x-protobuf;messageType=x", Some(Media::Protobuf)),
            ("application/protobuf", None),
            ("text/plain", None),
            ("", None),
        ] {
            assert_eq!(Media::from_content_type(value), media, "{value}");
        }
    }
}
