//! Chunks from the wire put together: within the limit, the budget and the time, and copied at most once.

use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout};

use super::admission::Room;
use super::refusal::Refusal;

/// Below which a body is copied though it came in one piece. A slice of the connection's read buffer pins that whole
/// buffer, up to 64 KiB, for as long as the batch waits in memory; copying this much costs less than a microsecond.
const COPIED_BELOW: usize = 16 << 10;

/// The most that is set aside for a body before it comes. A longer one grows, and is copied again for it.
const SET_ASIDE: usize = 4 << 20;

/// What a door allows a single request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Largest body in bytes, on the wire and again inflated.
    pub(super) size: usize,
    /// How long a body may take.
    pub(super) time: Duration,
}

/// A body has to come at this pace at least: each [`STRIDE`] of it, and what is left of it, within [`STRIDE_TIME`] of waiting
/// for it. So one that stalls costs little, however long it may take in all.
const STRIDE: usize = 4 << 10;
const STRIDE_TIME: Duration = Duration::from_secs(5);

/// A body of which nothing comes for so long comes slowly.
const SLOW: Duration = Duration::from_millis(250);

/// Reads the chunks of a body one by one, for a transport that frames them.
#[derive(Debug)]
pub(super) struct Chunks<B> {
    body: B,
    /// Bytes that came of this stride, and the time that is left for it.
    stride: (usize, Duration),
}

impl<B> Chunks<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    pub(super) fn new(body: B) -> Chunks<B> {
        Chunks { body, stride: (0, STRIDE_TIME) }
    }

    /// The next chunk that holds anything; `None` at the end. Trailers are of no interest. While it comes slowly the request has
    /// no more `room` than it needs.
    ///
    /// # Errors
    /// [`Refusal::Stalled`] when it does not come at the least pace, [`Refusal::Broken`].
    pub(super) async fn next(&mut self, room: &mut Room<'_>) -> Result<Option<Bytes>, Refusal> {
        while !self.body.is_end_stream() {
            let (came, left) = &mut self.stride;
            let since = Instant::now();
            let patience = if room.is_ahead() { SLOW.min(*left) } else { *left };
            let frame = timeout(patience, self.body.frame()).await;
            *left = left.saturating_sub(since.elapsed());
            match frame {
                Err(_) if left.is_zero() => return Err(Refusal::Stalled),
                Err(_) => room.keep_what_came(),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data()
                        && data.has_remaining()
                    {
                        *came += data.len();
                        if *came >= STRIDE {
                            self.stride = (0, STRIDE_TIME);
                        }
                        return Ok(Some(data));
                    }
                }
                Ok(Some(Err(error))) => return Err(Refusal::Broken(error.to_string())),
                Ok(None) => break,
            }
        }
        Ok(None)
    }

    /// The whole body; `expected` is its length as announced, if it was.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`], at once when the length announced says so; [`Refusal::Overloaded`]; [`Refusal::Broken`].
    pub(super) async fn whole(
        &mut self,
        expected: Option<usize>,
        limit: usize,
        room: &mut Room<'_>,
    ) -> Result<Bytes, Refusal> {
        let mut joined = Joined::new(expected, limit)?;
        while let Some(chunk) = self.next(room).await? {
            joined.push(chunk, room).await?;
        }
        Ok(joined.finish())
    }
}

/// Runs the reading of one body, for at most `time`.
///
/// # Errors
/// [`Refusal::Slow`] past it, else what `read` says.
pub(super) async fn within<T>(time: Duration, read: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    timeout(time, read).await.unwrap_or(Err(Refusal::Slow(time)))
}

/// Chunks on their way to becoming one body.
#[derive(Debug)]
pub(super) struct Joined {
    expected: Option<usize>,
    limit: usize,
    /// The first chunk, as long as it is the only one.
    only: Bytes,
    /// All of them, once there are several.
    all: Vec<u8>,
}

impl Joined {
    /// Nothing yet, of `expected` bytes if that is known.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`] when that is more than `limit`.
    pub(super) fn new(expected: Option<usize>, limit: usize) -> Result<Joined, Refusal> {
        match expected {
            Some(expected) if expected > limit => Err(Refusal::TooLarge { limit }),
            _ => Ok(Joined { expected, limit, only: Bytes::new(), all: Vec::new() }),
        }
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.only.len() + self.all.len()
    }

    /// Appends a chunk, as soon as there is room for it.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`] past the limit, [`Refusal::Overloaded`] without room.
    pub(super) async fn push(&mut self, chunk: Bytes, room: &mut Room<'_>) -> Result<(), Refusal> {
        let len = self.len() + chunk.len();
        if len > self.limit {
            return Err(Refusal::TooLarge { limit: self.limit });
        }
        room.fit(len, self.expected).await?;
        if self.len() == 0 {
            self.only = chunk;
            return Ok(());
        }
        if self.all.is_empty() {
            self.all.reserve_exact(self.expected.unwrap_or(2 * len).clamp(len, SET_ASIDE.max(len)));
            self.all.extend_from_slice(&std::mem::take(&mut self.only));
        }
        self.all.extend_from_slice(&chunk);
        Ok(())
    }

    /// The body.
    pub(super) fn finish(mut self) -> Bytes {
        match self.only.len() {
            0 => {
                // What was set aside and not needed would wait in memory with the batch.
                if self.all.capacity() - self.all.len() > self.all.len() / 8 {
                    self.all.shrink_to_fit();
                }
                Bytes::from(self.all)
            }
            1..COPIED_BELOW => Bytes::copy_from_slice(&self.only),
            _ => self.only,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receive::admission::Admission;
    use crate::receive::stats::Stats;

    async fn join(chunks: &[Bytes], expected: Option<usize>, limit: usize) -> Result<Bytes, Refusal> {
        let (admission, stats) = (Admission::new(1 << 20), Stats::new());
        let connection = admission.connection();
        let mut room = admission.room(&connection, &stats, None, 0);
        let mut joined = Joined::new(expected, limit)?;
        for chunk in chunks {
            joined.push(chunk.clone(), &mut room).await?;
        }
        Ok(joined.finish())
    }

    /// Bodies in one piece, in many, with and without a length announced, even a wrong one.
    /// Guarantees that the body is the chunks one after the other.
    #[tokio::test]
    async fn a_body_is_its_chunks_in_order() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        for len in [0, 1, 5, 16_383, 16_384, 100_000] {
            for chunk in [1, 7, 16_384, 200_000] {
                let chunks: Vec<_> = bytes[..len].chunks(chunk).map(Bytes::copy_from_slice).collect();
                for expected in [None, Some(len), Some(len / 2), Some(len * 2)] {
                    let body = join(&chunks, expected, 1 << 20).await.unwrap();
                    assert_eq!(body, bytes[..len], "{len} bytes in chunks of {chunk}, {expected:?} expected");
                }
            }
        }
    }

    /// Bodies that come at some bytes a chunk and some milliseconds between two.
    /// Guarantees that one which stalls or dribbles is given up after five seconds, and that one which comes is not, however
    /// long it takes.
    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_is_given_up() {
        for (chunk, pause, given_up) in
            [(1, 1_000, Some(5)), (16 << 10, 6_000, Some(5)), (1 << 10, 1_000, None), (4 << 10, 4_900, None)]
        {
            let frames = futures_util::stream::unfold(0, |sent| async move {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                let frame = http_body::Frame::data(Bytes::from(vec![0; chunk]));
                (sent < 40).then(|| (Ok::<_, std::convert::Infallible>(frame), sent + 1))
            });
            let (admission, stats) = (Admission::new(1 << 20), Stats::new());
            let connection = admission.connection();
            let mut room = admission.room(&connection, &stats, None, 0);
            let mut chunks = Chunks::new(http_body_util::StreamBody::new(Box::pin(frames)));
            let since = Instant::now();
            let ended = loop {
                match chunks.next(&mut room).await {
                    Ok(Some(_)) => {}
                    Ok(None) => break None,
                    Err(Refusal::Stalled) => break Some(since.elapsed().as_secs()),
                    Err(other) => panic!("{other}"),
                }
            };
            assert_eq!(ended, given_up, "{chunk} bytes each {pause} ms");
        }
    }

    /// A large body that came in one piece.
    /// Guarantees that it is not copied.
    #[tokio::test]
    async fn a_large_body_in_one_piece_is_not_copied() {
        let chunk = Bytes::from(vec![7; COPIED_BELOW]);
        let body = join(std::slice::from_ref(&chunk), Some(chunk.len()), 1 << 20).await.unwrap();
        assert_eq!(body.as_ptr(), chunk.as_ptr());
    }

    /// Bodies past the limit: announced so, or without a word.
    /// Guarantees that they are refused, the first before a byte is read.
    #[tokio::test]
    async fn a_body_past_the_limit_is_refused() {
        assert!(matches!(Joined::new(Some(11), 10), Err(Refusal::TooLarge { limit: 10 })));
        let chunks = [Bytes::from_static(b"123456"), Bytes::from_static(b"78901")];
        for expected in [None, Some(3)] {
            assert!(matches!(join(&chunks, expected, 10).await, Err(Refusal::TooLarge { limit: 10 })));
        }
        assert_eq!(join(&chunks, None, 11).await.unwrap().len(), 11);
    }
}
