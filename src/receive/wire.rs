//! A socket as the doors use it: it gives up on peers that connect and say nothing, and lets a peer that is still
//! sending read the answer it got before its connection ends.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Length of the HTTP/2 preface, and less than any HTTP/1.1 request.
const GREETING: usize = 24;

/// How much is read in one turn, in bytes. Of many connections that all have much to say each would else be read until its windows are
/// full, before any of their requests has its turn to be refused.
const TURN: usize = 32 << 10;

/// How long a peer is listened to after it was told that nothing more is read.
const LINGER: Duration = Duration::from_secs(2);

/// How much of what it goes on sending is thrown away meanwhile, in bytes: one largest request by default.
const LINGER_BYTES: usize = 64 << 20;

/// A connection's stream, plain or TLS.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    /// What was read in this turn, in bytes.
    turn: usize,
    greeting: Greeting,
    linger: Linger,
}

/// Until the peer has said hello.
#[derive(Debug)]
enum Greeting {
    Awaited { missing: usize, deadline: Pin<Box<Sleep>> },
    Received,
}

/// The end of a connection. Closing a socket with unread bytes in it resets the connection, and the reset may overtake the
/// answer: a client that was refused in the middle of a large body would see "connection reset" and not why.
#[derive(Debug)]
enum Linger {
    Open,
    Draining { budget: usize, deadline: Pin<Box<Sleep>> },
    Done,
}

impl<S> Wire<S> {
    /// `stream`, whose peer has to begin to speak within `patience`.
    pub(super) fn new(stream: S, patience: Duration) -> Wire<S> {
        let greeting = Greeting::Awaited { missing: GREETING, deadline: Box::pin(sleep(patience)) };
        Wire { stream, turn: 0, greeting, linger: Linger::Open }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Wire { stream, turn, greeting, .. } = &mut *self;
        if *turn >= TURN {
            *turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(stream).poll_read(cx, buf);
        *turn = if read.is_ready() { *turn + buf.filled().len() - before } else { 0 };
        if let Greeting::Awaited { missing, deadline } = greeting {
            *missing = missing.saturating_sub(buf.filled().len() - before);
            if *missing == 0 {
                *greeting = Greeting::Received;
            } else if read.is_pending() && deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client said nothing")));
            }
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Wire { stream, linger, .. } = &mut *self;
        if let Linger::Open = linger {
            ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
            *linger = Linger::Draining { budget: LINGER_BYTES, deadline: Box::pin(sleep(LINGER)) };
        }
        if let Linger::Draining { budget, deadline } = linger {
            match poll_discard(stream, cx, budget) {
                // The peer is silent: there is nothing to be reset for.
                Poll::Pending if *budget == LINGER_BYTES => {}
                Poll::Pending => ready!(deadline.as_mut().poll(cx)),
                Poll::Ready(()) => {}
            }
            *linger = Linger::Done;
        }
        Poll::Ready(Ok(()))
    }
}

/// Reads and throws away, until the peer ends, an error, or the budget is used up.
fn poll_discard<S: AsyncRead + Unpin>(stream: &mut S, cx: &mut Context<'_>, budget: &mut usize) -> Poll<()> {
    let mut scrap = [0; 8 << 10];
    while *budget > 0 {
        let mut buf = ReadBuf::new(&mut scrap);
        match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf)) {
            Ok(()) if !buf.filled().is_empty() => *budget = budget.saturating_sub(buf.filled().len()),
            Ok(()) | Err(_) => break,
        }
    }
    Poll::Ready(())
}
