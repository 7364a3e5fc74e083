//! The form in which a body goes out: as stored where the target takes that encoding, gzip where it takes only that, plain otherwise.
//!
//! Some targets refuse compressed bodies without saying so beforehand. An answer that may mean this is not believed before
//! the same body was sent plain; what is learned holds for a day, since targets are upgraded.
//!
//! Making a body over takes about 1 ms for each 256 KiB of its contents, and room for them: what is large is made over on a blocking
//! thread, one of a target at a time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::batch::{Batch, Encoding, Signal};
use crate::otlp::answer::Answer;
use crate::otlp::class::{self, Class};
use crate::otlp::inflate::{Deflater, Inflater};
use crate::otlp::status::code;

/// How long a target's dislike of an encoding is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// Largest inflated body that is made over on the runtime's own thread, in bytes.
const INLINE: u32 = 1 << 20;

/// What a target takes: configured, and learned per signal, since each may have an endpoint of its own.
pub(super) struct Forms {
    accepts: Vec<Encoding>,
    /// Of each signal, the encodings that were refused.
    refused_until: Mutex<[[Option<Instant>; Encoding::ALL.len()]; 3]>,
    /// The turn of a large body.
    large: Arc<Semaphore>,
}

impl Forms {
    /// `accepts` as configured; plain bodies are taken everywhere.
    pub(super) fn new(accepts: &[Encoding]) -> Forms {
        Forms { accepts: accepts.to_vec(), refused_until: Mutex::default(), large: Arc::new(Semaphore::new(1)) }
    }

    /// Encoding and body to send. A body that cannot be inflated goes out as it is: the target is to judge it.
    pub(super) async fn outgoing(&self, batch: &Batch) -> (Encoding, Bytes) {
        let encoding =
            [batch.encoding, Encoding::Gzip].into_iter().find(|encoding| self.takes(batch.signal, *encoding));
        let encoding = encoding.unwrap_or(Encoding::Identity);
        let made = self.made_over(batch, encoding).await;
        made.map_or_else(|| (batch.encoding, batch.body.clone()), |body| (encoding, body))
    }

    /// The body of a batch in that encoding. `None` when it is damaged or not as long as it should be.
    pub(super) async fn made_over(&self, batch: &Batch, encoding: Encoding) -> Option<Bytes> {
        if batch.encoding == encoding {
            return Some(batch.body.clone());
        }
        if batch.inflated_len <= INLINE {
            return make_over(batch, encoding);
        }
        let turn = Arc::clone(&self.large).acquire_owned().await.ok()?;
        let batch = batch.clone();
        let making = tokio::task::spawn_blocking(move || {
            let made = make_over(&batch, encoding);
            drop(turn);
            made
        });
        making.await.ok()?
    }

    /// Remembers that a plain body of that signal was taken where one in this encoding was refused.
    pub(super) fn learn(&self, signal: Signal, encoding: Encoding) {
        let mut refused_until = self.refused_until.lock().unwrap_or_else(PoisonError::into_inner);
        refused_until[signal.index()][encoding as usize] = Some(Instant::now() + REMEMBERED);
    }

    fn takes(&self, signal: Signal, encoding: Encoding) -> bool {
        let refused_until = self.refused_until.lock().unwrap_or_else(PoisonError::into_inner);
        let until = refused_until[signal.index()][encoding as usize];
        encoding == Encoding::Identity
            || (self.accepts.contains(&encoding) && until.is_none_or(|until| Instant::now() >= until))
    }
}

fn make_over(batch: &Batch, encoding: Encoding) -> Option<Bytes> {
    // An inflater of its own: this way is the exception, and its buffer must not outlive it.
    let mut inflater = Inflater::new();
    let inflated = inflater.inflate(batch.encoding, &batch.body, batch.inflated_len as usize).ok()?;
    Some(Deflater::new().compress(encoding, inflated.bytes).into())
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
    #[tokio::test]
    async fn a_body_goes_out_as_stored_or_plain() {
        let batch = gzipped(b"some telemetry");
        let (encoding, body) = Forms::new(&[Encoding::Gzip]).outgoing(&batch).await;
        assert_eq!((encoding, body.as_ptr()), (Encoding::Gzip, batch.body.as_ptr()));
        let (encoding, body) = Forms::new(&[]).outgoing(&batch).await;
        assert_eq!((encoding, &body[..]), (Encoding::Identity, &b"some telemetry"[..]));
        let plain = Batch { encoding: Encoding::Identity, ..batch };
        assert_eq!(Forms::new(&[Encoding::Gzip]).outgoing(&plain).await.0, Encoding::Identity);
    }

    /// Scenario: zstd bodies, a small and a large one, to targets that list zstd, gzip alone, and nothing.
    /// Guarantee: they go as stored, as gzip, and plain, and always hold the same.
    #[tokio::test]
    async fn zstd_goes_as_gzip_to_those_who_take_only_that() {
        for repeats in [20, 100_000] {
            let plain = b"some telemetry ".repeat(repeats);
            let body = Deflater::new().compress(Encoding::Zstd, &plain).into();
            let batch = Batch { encoding: Encoding::Zstd, inflated_len: plain.len() as u32, body, ..gzipped(b"") };
            for (accepts, encoding) in [
                (&[Encoding::Gzip, Encoding::Zstd][..], Encoding::Zstd),
                (&[Encoding::Gzip], Encoding::Gzip),
                (&[], Encoding::Identity),
            ] {
                let (as_what, body) = Forms::new(accepts).outgoing(&batch).await;
                assert_eq!(as_what, encoding);
                assert_eq!(Inflater::new().inflate(encoding, &body, plain.len()).unwrap().bytes, plain);
            }
        }
    }

    /// Scenario: a stored body is damaged and the target lists no encoding.
    /// Guarantee: it goes out as it is; no verdict is made here.
    #[tokio::test]
    async fn a_damaged_body_goes_out_as_it_is() {
        let batch = Batch { body: Bytes::from_static(b"not gzip"), ..gzipped(b"x") };
        assert_eq!(Forms::new(&[]).outgoing(&batch).await, (Encoding::Gzip, batch.body.clone()));
    }

    /// Scenario: a target that lists both was found to refuse zstd for one signal, and gzip too; a day passes.
    /// Guarantee: that signal goes as gzip, then plain for the day, the others do not, and then zstd is tried again.
    #[tokio::test(start_paused = true)]
    async fn what_is_learned_holds_for_a_day_and_one_signal() {
        let forms = Forms::new(&[Encoding::Gzip, Encoding::Zstd]);
        let body = Deflater::new().compress(Encoding::Zstd, b"x").into();
        let logs = Batch { encoding: Encoding::Zstd, body, ..gzipped(b"x") };
        let traces = Batch { signal: Signal::Traces, ..logs.clone() };
        forms.learn(Signal::Logs, Encoding::Zstd);
        assert_eq!(forms.outgoing(&logs).await.0, Encoding::Gzip);
        forms.learn(Signal::Logs, Encoding::Gzip);
        assert_eq!(forms.outgoing(&logs).await.0, Encoding::Identity);
        assert_eq!(forms.outgoing(&traces).await.0, Encoding::Zstd);
        tokio::time::advance(REMEMBERED).await;
        assert_eq!(forms.outgoing(&logs).await.0, Encoding::Zstd);
    }
}
