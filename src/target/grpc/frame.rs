//! The message frame of gRPC: a flag byte, a length of four bytes, the message (gRPC over HTTP/2, "Length-Prefixed-Message").

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Length of what stands before a message.
pub(super) const PREFIX: usize = 5;

/// The body of a unary request: the prefix, and then the message's own bytes without a copy.
pub(super) struct Framed {
    prefix: Option<Bytes>,
    message: Bytes,
}

impl Framed {
    /// Frames a message of at most 4 GiB.
    pub(super) fn new(compressed: bool, message: Bytes) -> Framed {
        let mut prefix = [u8::from(compressed), 0, 0, 0, 0];
        let len = u32::try_from(message.len()).expect("a stored body is below 4 GiB");
        prefix[1..].copy_from_slice(&len.to_be_bytes());
        Framed { prefix: Some(Bytes::copy_from_slice(&prefix)), message }
    }
}

impl Body for Framed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match self.prefix.take() {
            Some(prefix) => prefix,
            None => std::mem::take(&mut self.message),
        };
        Poll::Ready((!next.is_empty()).then(|| Ok(Frame::data(next))))
    }

    fn is_end_stream(&self) -> bool {
        self.prefix.is_none() && self.message.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let prefix = self.prefix.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact((prefix + self.message.len()) as u64)
    }
}

/// The first message of a body, and whether it is compressed. `None` when there is no whole one.
pub(super) fn first(body: &Bytes) -> Option<(bool, Bytes)> {
    let len = u32::from_be_bytes(body.get(1..PREFIX)?.try_into().ok()?) as usize;
    let end = PREFIX.checked_add(len).filter(|end| *end <= body.len())?;
    Some((body[0] & 1 == 1, body.slice(PREFIX..end)))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    /// Scenario: messages of no bytes and of some are framed and read back.
    /// Guarantee: the message's own memory goes out, and the length is announced exactly.
    #[tokio::test]
    async fn a_message_is_framed_without_a_copy() {
        let message = Bytes::from_static(b"telemetry");
        let mut body = Framed::new(true, message.clone());
        assert_eq!(body.size_hint().exact(), Some(14));
        let prefix = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(&prefix[..], [1, 0, 0, 0, 9]);
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data.as_ptr(), message.as_ptr());
        assert!(body.is_end_stream() && body.frame().await.is_none());

        let empty = Framed::new(false, Bytes::new()).collect().await.unwrap().to_bytes();
        assert_eq!(&empty[..], [0; 5]);
        assert_eq!(first(&empty), Some((false, Bytes::new())));
    }

    #[test]
    fn half_a_message_is_none() {
        for body in [&b""[..], b"\0\0\0", b"\0\0\0\0\x05abcd"] {
            assert_eq!(first(&Bytes::from_static(body)), None);
        }
        assert_eq!(first(&Bytes::from_static(b"\x01\0\0\0\x01ab")), Some((true, Bytes::from_static(b"a"))));
    }
}
