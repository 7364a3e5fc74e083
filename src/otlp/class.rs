//! What an answer means: the table of response classes, one pure function. Its every cell is held by `target/classes.rs`, from the
//! bytes of an answer on.
//!
//! It judges one answer by itself. Witnesses, attempts, patience and breakers are the business of `deliver`.

use std::time::Duration;

use super::answer::Answer;

/// No server may silence us for longer than this with one answer, however far its clock or its humour is off.
pub const MAX_FLOOR: Duration = Duration::from_secs(5 * 60);

/// What an answer means for the batch and for the target. The rows of the table of response classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// The target has the batch.
    Ok,
    /// It went wrong on the way or in passing: the target's failure, the batch is sent again.
    Transient,
    /// The target lives and has enough: sent again, slower, not before its delay.
    Throttle,
    /// The batch is larger than the target takes.
    TooLarge,
    /// The target finds fault with the batch itself.
    Refused,
    /// The target cannot be used as configured: credentials, path, protocol.
    Endpoint,
    /// Any other error; it may lie with the batch or with the target.
    Unlisted,
}

impl Class {
    /// Every class, in the order in which tables and labels list them.
    pub const ALL: [Class; 7] = [
        Class::Ok,
        Class::Transient,
        Class::Throttle,
        Class::TooLarge,
        Class::Refused,
        Class::Endpoint,
        Class::Unlisted,
    ];

    /// The name used in labels and log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Class::Ok => "ok",
            Class::Transient => "transient",
            Class::Throttle => "throttle",
            Class::TooLarge => "too_large",
            Class::Refused => "refused",
            Class::Endpoint => "endpoint",
            Class::Unlisted => "unlisted",
        }
    }
}

/// Classifies `answer`. `in_flight` is the number of requests that were under way to that target when it came,
/// this one included: a memory limiter during a replay answers UNAVAILABLE without a delay, and so does a server
/// that is going away; several requests at once make the first the likely reading.
pub fn classify(answer: &Answer, in_flight: usize) -> Class {
    match answer {
        Answer::Accepted { .. } => Class::Ok,
        Answer::Broken { .. } => Class::Transient,
        Answer::Grpc { code, message, delay } => grpc(*code, message, delay.is_some(), in_flight > 1),
        Answer::Http { status, message, delay } => http(*status, message, delay.is_some(), in_flight > 1),
    }
}

/// The earliest moment of the next attempt, counted from the answer: the server's delay, at most [`MAX_FLOOR`].
pub fn floor(answer: &Answer) -> Option<Duration> {
    answer.delay().map(|delay| delay.min(MAX_FLOOR))
}

fn grpc(code: u8, message: &str, delayed: bool, crowded: bool) -> Class {
    match code {
        0 => Class::Ok,
        1 | 4 | 10 | 15 => Class::Transient, // CANCELLED, DEADLINE_EXCEEDED, ABORTED, DATA_LOSS
        3 | 9 => Class::Refused,             // INVALID_ARGUMENT, FAILED_PRECONDITION
        7 | 12 | 16 => Class::Endpoint,      // PERMISSION_DENIED, UNIMPLEMENTED, UNAUTHENTICATED
        8 if delayed => Class::Throttle,     // RESOURCE_EXHAUSTED, and the server says when it recovers
        8 if speaks_of_size(message) => Class::TooLarge,
        8 => Class::Throttle,
        11 if speaks_of_size(message) => Class::TooLarge, // OUT_OF_RANGE, tonic's word for a message over its limit
        11 => Class::Transient,
        14 if delayed || crowded => Class::Throttle, // UNAVAILABLE
        14 => Class::Transient,
        _ => Class::Unlisted, // UNKNOWN, NOT_FOUND, ALREADY_EXISTS, INTERNAL, and codes that gRPC does not know
    }
}

fn http(status: u16, message: &str, delayed: bool, crowded: bool) -> Class {
    match status {
        200..=299 => Class::Ok,
        429 => Class::Throttle,
        503 if delayed || crowded => Class::Throttle,
        502..=504 => Class::Transient,
        413 => Class::TooLarge,
        // A collector's HTTP receiver answers 400 "http: request body too large" (opentelemetry-collector issue 11066).
        400 if speaks_of_size(message) => Class::TooLarge,
        400 => Class::Refused,
        401 | 403 | 404 | 405 | 415 => Class::Endpoint,
        _ => Class::Unlisted,
    }
}

/// Whether an error text complains about the size of the message, in the words of grpc-go, grpc-java, grpc-core,
/// grpc-js, grpc-dotnet, tonic, Go's HTTP server and ourselves. Rate limits count bytes too, and are told apart by that word.
fn speaks_of_size(message: &str) -> bool {
    const THINGS: [&str; 4] = ["message", "request", "payload", "body"];
    const TOO_MUCH: [&str; 6] =
        ["larger than", "too large", "too big", "exceeds maximum size", "exceeds the maximum", "exceeds the limit"];
    let text = message.to_ascii_lowercase();
    let mentions = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let about_rates = text.split(|c: char| !c.is_ascii_alphabetic()).any(|word| word == "rate");
    mentions(&THINGS) && mentions(&TOO_MUCH) && !about_rates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::answer::Break;

    use Class::{Ok, Refused, Throttle, TooLarge, Transient};

    const SECOND: Option<Duration> = Some(Duration::from_secs(1));

    /// Success in every form, and no answer at all.
    /// Guarantees that a partial success is a success, and that every break is worth another attempt.
    #[test]
    fn successes_and_breaks() {
        for (rejected, message) in [(0, ""), (7, "bad spans")] {
            assert_eq!(classify(&Answer::Accepted { rejected, message: message.to_owned() }, 9), Ok);
        }
        for at in [Break::Resolve, Break::Connect, Break::Tls, Break::Timeout, Break::Reset, Break::Write] {
            for in_flight in [1, 9] {
                assert_eq!(classify(&Answer::Broken { at, message: String::new() }, in_flight), Transient);
            }
        }
    }

    fn bad_request(text: &str) -> Answer {
        Answer::Http { status: 400, message: text.to_owned(), delay: None }
    }

    /// 400, RESOURCE_EXHAUSTED and OUT_OF_RANGE with the texts of servers in the field.
    /// Guarantees that complaints about a message's size lead to a split, and complaints about load do not.
    #[test]
    fn size_is_told_from_load_by_the_words() {
        for text in [
            "grpc: received message larger than max (5242880 vs. 4194304)",
            "grpc: received message after decompression larger than max 4194304",
            "Received message larger than max (5242880 vs. 4194304)",
            "Received message that decompresses to a size larger than 4194304",
            "gRPC message exceeds maximum size 4194304: 5242880",
            "Decompressed gRPC message exceeds maximum size 4194304",
            "Received message exceeds the maximum configured message size.",
            "Error, decoded message length too large: found 5242880 bytes, the limit is: 4194304 bytes",
            "the request is larger than the limit of 67108864 bytes",
            "http: request body too large",
        ] {
            assert_eq!(classify(&bad_request(text), 1), TooLarge, "{text}");
            for (code, otherwise) in [(8, Throttle), (11, TooLarge)] {
                let answer = |delay| Answer::Grpc { code, message: text.to_owned(), delay };
                assert_eq!(classify(&answer(None), 1), TooLarge, "{text}");
                assert_eq!(classify(&answer(SECOND), 1), otherwise, "{text}");
            }
        }
        for text in [
            "",
            "data refused due to high memory usage",
            "too many requests",
            "ingestion rate limit (15000000 bytes) exceeded while adding 20000000 bytes, request too large",
            "per-tenant series limit of 150000 exceeded",
            "sending queue is full",
        ] {
            assert_eq!(classify(&bad_request(text), 1), Refused, "{text}");
            assert_eq!(
                classify(&Answer::Grpc { code: 8, message: text.to_owned(), delay: None }, 1),
                Throttle,
                "{text}"
            );
            let answer = Answer::Grpc { code: 11, message: text.to_owned(), delay: None };
            assert_eq!(classify(&answer, 1), Transient, "{text}");
        }
    }

    /// Delays from nothing to a thousand years.
    /// Guarantees that a server's wish is a floor, and that no wish exceeds five minutes.
    #[test]
    fn a_delay_is_a_capped_floor() {
        let answer = |delay| Answer::Http { status: 503, message: String::new(), delay };
        for (delay, floored) in [(0, 0), (7, 7), (300, 300), (301, 300), (u64::MAX, 300)] {
            assert_eq!(floor(&answer(Some(Duration::from_secs(delay)))), Some(Duration::from_secs(floored)));
        }
        assert_eq!(floor(&answer(None)), None);
        assert_eq!(floor(&Answer::accepted()), None);
    }
}
