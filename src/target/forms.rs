//! The form in which a body goes out: as stored where the target takes that encoding, gzip where it takes only that, plain otherwise.
//!
//! Some targets refuse compressed bodies without saying so beforehand. An answer that may mean this is not believed before
//! the same body was sent plain; what is learned holds for a day, since targets are upgraded.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::batch::{Batch, Encoding, Signal};
use crate::otlp::answer::Answer;
use crate::otlp::class::{self, Class};
use crate::otlp::inflate::{Deflater, Inflater};
use crate::otlp::status::code;

/// How long a target's dislike of compressed bodies is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// What a target takes: configured, and learned per signal, since each may have an endpoint of its own.
pub(super) struct Forms {
    accepts: Vec<Encoding>,
    plain_until: Mutex<[Option<Instant>; 3]>,
}

impl Forms {
    /// `accepts` as configured; plain bodies are taken everywhere.
    pub(super) fn new(accepts: &[Encoding]) -> Forms {
        Forms { accepts: accepts.to_vec(), plain_until: Mutex::new([None; 3]) }
    }

    /// Encoding and body to send. A body that cannot be inflated goes out as it is: the target is to judge it.
    pub(super) fn outgoing(&self, batch: &Batch) -> (Encoding, Bytes) {
        if self.takes(batch.signal, batch.encoding) {
            return (batch.encoding, batch.body.clone());
        }
        match plain(batch) {
            Some(body) if self.takes(batch.signal, Encoding::Gzip) => {
                (Encoding::Gzip, Deflater::new().gzip(&body).into())
            }
            Some(body) => (Encoding::Identity, body),
            None => (batch.encoding, batch.body.clone()),
        }
    }

    /// Remembers that plain bodies of that signal were taken where compressed ones were refused.
    pub(super) fn learn(&self, signal: Signal) {
        let mut plain_until = self.plain_until.lock().unwrap_or_else(PoisonError::into_inner);
        plain_until[signal.index()] = Some(Instant::now() + REMEMBERED);
    }

    fn takes(&self, signal: Signal, encoding: Encoding) -> bool {
        let plain_until = self.plain_until.lock().unwrap_or_else(PoisonError::into_inner)[signal.index()];
        encoding == Encoding::Identity
            || (self.accepts.contains(&encoding) && plain_until.is_none_or(|until| Instant::now() >= until))
    }
}

/// The body of a batch, inflated. `None` when it is damaged or not as long as it should be.
pub(super) fn plain(batch: &Batch) -> Option<Bytes> {
    if batch.encoding == Encoding::Identity {
        return Some(batch.body.clone());
    }
    // An inflater of its own: this way is the exception, and its buffer must not outlive it.
    let mut inflater = Inflater::new();
    let inflated = inflater.inflate(batch.encoding, &batch.body, batch.inflated_len as usize).ok()?;
    Some(Bytes::copy_from_slice(inflated.bytes))
}

/// Whether an answer to a compressed body may be about its compression. A complaint about its size is not.
pub(super) fn may_blame_encoding(answer: &Answer) -> bool {
    match answer {
        _ if class::classify(answer, 1) == Class::TooLarge => false,
        Answer::Grpc { code, .. } => matches!(*code, code::UNIMPLEMENTED | code::INVALID_ARGUMENT),
        Answer::Http { status, .. } => matches!(*status, 400 | 415),
        Answer::Accepted { .. } | Answer::Broken { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzipped(plain: &[u8]) -> Batch {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(plain).unwrap();
        Batch {
            signal: Signal::Logs,
            encoding: Encoding::Gzip,
            items: 1,
            inflated_len: plain.len() as u32,
            received_at_ms: 0,
            headers: [].into(),
            body: gzip.finish().unwrap().into(),
        }
    }

    /// Scenario: a gzip body, to a target that lists gzip and to one that lists nothing.
    /// Guarantee: the first gets the stored bytes themselves, without a copy, the second gets them inflated.
    #[test]
    fn a_body_goes_out_as_stored_or_plain() {
        let batch = gzipped(b"some telemetry");
        let (encoding, body) = Forms::new(&[Encoding::Gzip]).outgoing(&batch);
        assert_eq!((encoding, body.as_ptr()), (Encoding::Gzip, batch.body.as_ptr()));
        let (encoding, body) = Forms::new(&[]).outgoing(&batch);
        assert_eq!((encoding, &body[..]), (Encoding::Identity, &b"some telemetry"[..]));
        let plain = Batch { encoding: Encoding::Identity, ..batch };
        assert_eq!(Forms::new(&[Encoding::Gzip]).outgoing(&plain).0, Encoding::Identity);
    }

    /// Scenario: a zstd body, to targets that list zstd, gzip alone, and nothing.
    /// Guarantee: it goes as stored, as gzip, and plain, and always holds the same.
    #[test]
    fn zstd_goes_as_gzip_to_those_who_take_only_that() {
        let plain = b"some telemetry ".repeat(20);
        let body = Deflater::new().compress(Encoding::Zstd, &plain).into();
        let batch = Batch { encoding: Encoding::Zstd, inflated_len: plain.len() as u32, body, ..gzipped(b"") };
        for (accepts, encoding) in [
            (&[Encoding::Gzip, Encoding::Zstd][..], Encoding::Zstd),
            (&[Encoding::Gzip], Encoding::Gzip),
            (&[], Encoding::Identity),
        ] {
            let (as_what, body) = Forms::new(accepts).outgoing(&batch);
            assert_eq!(as_what, encoding);
            assert_eq!(Inflater::new().inflate(encoding, &body, plain.len()).unwrap().bytes, plain);
        }
    }

    /// Scenario: a stored body is damaged and the target lists no encoding.
    /// Guarantee: it goes out as it is; no verdict is made here.
    #[test]
    fn a_damaged_body_goes_out_as_it_is() {
        let batch = Batch { body: Bytes::from_static(b"not gzip"), ..gzipped(b"x") };
        assert_eq!(Forms::new(&[]).outgoing(&batch), (Encoding::Gzip, batch.body.clone()));
    }

    /// Scenario: a target was found to refuse gzip for one signal; a day passes.
    /// Guarantee: that signal goes plain for the day, the others do not, and then gzip is tried again.
    #[tokio::test(start_paused = true)]
    async fn what_is_learned_holds_for_a_day_and_one_signal() {
        let forms = Forms::new(&[Encoding::Gzip]);
        let logs = gzipped(b"x");
        let traces = Batch { signal: Signal::Traces, ..logs.clone() };
        forms.learn(Signal::Logs);
        assert_eq!(forms.outgoing(&logs).0, Encoding::Identity);
        assert_eq!(forms.outgoing(&traces).0, Encoding::Gzip);
        tokio::time::advance(REMEMBERED).await;
        assert_eq!(forms.outgoing(&logs).0, Encoding::Gzip);
    }
}
