//! The one message of a unary call, out of its frame: a flag, a length of four bytes, the message.

use bytes::{Buf, Bytes};
use http_body::Body;

use crate::batch::Encoding;
use crate::receive::accept::Source;
use crate::receive::admission::Room;
use crate::receive::body::{Chunks, Joined, Limits, within};
use crate::receive::refusal::Refusal;

/// Flag and length.
const PREFIX: usize = 5;

/// The body of a unary call.
#[derive(Debug)]
pub(super) struct Message<B> {
    chunks: Chunks<B>,
}

impl<B> Message<B>
where
    B: Body<Data = Bytes> + Unpin + Send,
    B::Error: std::fmt::Display,
{
    pub(super) fn new(body: B) -> Message<B> {
        Message { chunks: Chunks::new(body) }
    }

    /// Flag and length, and what the last chunk held behind them.
    async fn prefix(&mut self, room: &mut Room<'_>) -> Result<(u8, usize, Bytes), Refusal> {
        let mut prefix = [0; PREFIX];
        let mut filled = 0;
        loop {
            let Some(mut chunk) = self.chunks.next(room).await? else {
                return Err(Refusal::Undecodable(format!("the call ends after {filled} bytes, without a message")));
            };
            let part = chunk.len().min(PREFIX - filled);
            chunk.copy_to_slice(&mut prefix[filled..filled + part]);
            filled += part;
            if filled == PREFIX {
                let [flag, length @ ..] = prefix;
                let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                return Ok((flag, length, chunk));
            }
        }
    }

    /// Reads the message, of at most `limit` bytes, and makes sure that nothing follows it.
    pub(super) async fn whole(
        &mut self,
        encoding: Encoding,
        limit: usize,
        room: &mut Room<'_>,
    ) -> Result<(Bytes, Encoding), Refusal> {
        let (flag, length, mut chunk) = self.prefix(room).await?;
        let encoding = match (flag, encoding) {
            (0, _) => Encoding::Identity,
            (1, Encoding::Identity) => {
                return Err(Refusal::Undecodable(
                    "the message is flagged as compressed, but no grpc-encoding is named".to_owned(),
                ));
            }
            (1, encoding) => encoding,
            (flag, _) => return Err(Refusal::Undecodable(format!("a message cannot begin with the flag {flag}"))),
        };
        let mut message = Joined::new(Some(length), limit)?;
        loop {
            if message.len() + chunk.len() > length {
                return Err(Refusal::Undecodable(format!(
                    "more than one message, or more than the {length} bytes announced"
                )));
            }
            if !chunk.is_empty() {
                message.push(chunk, room).await?;
            }
            match self.chunks.next(room).await? {
                Some(next) => chunk = next,
                None if message.len() == length => return Ok((message.finish(), encoding)),
                None => {
                    let len = message.len();
                    return Err(Refusal::Undecodable(format!("the message ends after {len} of {length} bytes")));
                }
            }
        }
    }
}

impl<B> Source for Message<B>
where
    B: Body<Data = Bytes> + Unpin + Send,
    B::Error: std::fmt::Display,
{
    async fn read(
        mut self,
        encoding: Encoding,
        limits: Limits,
        room: &mut Room<'_>,
    ) -> Result<(Bytes, Encoding), Refusal> {
        within(limits.time, self.whole(encoding, limits.size, room)).await
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;
    use crate::receive::admission::Admission;
    use crate::receive::stats::Stats;

    const LIMIT: usize = 1000;

    /// Reads `bytes`, which arrive in chunks of `size`.
    async fn read(bytes: &[u8], size: usize, encoding: Encoding) -> Result<(Bytes, Encoding), Refusal> {
        let chunks: Vec<_> = bytes.chunks(size).map(Bytes::copy_from_slice).collect();
        let frames = chunks.into_iter().map(|chunk| Ok::<_, Infallible>(Frame::data(chunk)));
        let (admission, stats) = (Admission::new(LIMIT), Stats::new());
        let connection = admission.connection();
        Message::new(StreamBody::new(stream::iter(frames)))
            .whole(encoding, LIMIT, &mut admission.room(&connection, &stats, None, 0))
            .await
    }

    fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[flag], &length[..], message].concat()
    }

    /// Messages of several lengths, cut into chunks everywhere, the prefix included.
    /// Guarantees that the message comes out whole, and compressed only where its flag says so.
    #[tokio::test]
    async fn a_message_is_put_together_wherever_it_was_cut() {
        for len in [0, 1, 6, 999, 1000] {
            let message: Vec<u8> = (0..len).map(|n| n as u8).collect();
            for size in [1, 2, 4, 5, 6, 7, 500, 2000] {
                for (flag, encoding) in [(0, Encoding::Identity), (1, Encoding::Gzip)] {
                    let read = read(&framed(flag, &message), size, Encoding::Gzip).await.unwrap();
                    assert_eq!(read, (Bytes::from(message.clone()), encoding), "{len} bytes in chunks of {size}");
                }
            }
        }
    }

    /// Frames that break off, say too much, or are none.
    /// Guarantees a refusal for each, which names what is wrong.
    #[tokio::test]
    async fn a_broken_frame_is_refused() {
        let two = [framed(0, b"one"), framed(0, b"two")].concat();
        for (bytes, said) in [
            (&b""[..], "without a message"),
            (b"\0\0\0\0", "after 4 bytes"),
            (b"\0\0\0\0\x05abc", "3 of 5 bytes"),
            (b"\x02\0\0\0\0", "the flag 2"),
            (b"\x01\0\0\0\0", "no grpc-encoding"),
            (&two, "more than one message"),
        ] {
            for size in [1, 3, 100] {
                match read(bytes, size, Encoding::Identity).await {
                    Err(Refusal::Undecodable(text)) => assert!(text.contains(said), "{text}"),
                    other => panic!("{bytes:?} in chunks of {size}: {other:?}"),
                }
            }
        }
    }

    /// A hundred thousand streams that were changed at random, in frames of several sizes.
    /// Guarantees that what is read is what its prefix says, whatever the frames, and that nothing panics.
    #[test]
    fn fuzz_frames() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let sound = [framed(0, b""), framed(0, &[7; 300]), framed(1, b"packed"), framed(0, &[9; 999])];
        let (mut n, mut whole) = (0, 0);
        crate::fuzzed::fuzz(&sound, |bytes| {
            n += 1;
            let size = [1, 4, 5, 64, 2000][n % 5];
            if let Ok((message, encoding)) = runtime.block_on(read(bytes, size, Encoding::Gzip)) {
                assert_eq!(bytes, framed(u8::from(encoding == Encoding::Gzip), &message));
                whole += 1;
            }
        });
        assert!(whole > 1000 && n - whole > 1000, "{whole} of {n} were whole: neither verdict is tested");
    }

    /// A prefix that announces more than the limit.
    /// Guarantees that it is refused for its size before the message is read.
    #[tokio::test]
    async fn a_length_past_the_limit_is_refused_at_once() {
        for length in [1001_u32, u32::MAX] {
            let prefix = [&[0], &length.to_be_bytes()[..]].concat();
            let refused = read(&prefix, 100, Encoding::Identity).await;
            assert!(matches!(refused, Err(Refusal::TooLarge { limit: LIMIT })), "{refused:?}");
        }
    }
}
