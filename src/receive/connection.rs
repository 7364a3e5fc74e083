//! One connection, from its first byte to its last: limits of HTTP/1.1 and HTTP/2, age, and an orderly end.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::admission::UNREAD;
use super::stats::{Stats, Transport, Turned};
use super::tls::{NoHandshake, Tls};
use super::wire::Wire;
use crate::repeats::Repeats;

/// Bytes of one stream that may be on their way: a usual request at the pace of a fast network, without waiting for
/// acknowledgements. Explicit, since adaptive windows begin anew at 64 KiB. What a request has in it while it waits for room
/// counts as [`UNREAD`].
const STREAM_WINDOW: u32 = UNREAD as u32;

/// The same for all streams of a connection together: those that wait for room leave the others theirs.
const CONNECTION_WINDOW: u32 = MAX_STREAMS * STREAM_WINDOW;

/// Largest frame taken, in bytes. It is buffered whole before it is seen, outside the budget, so it is kept small;
/// larger ones save next to nothing.
const MAX_FRAME: u32 = 32 << 10;

/// Requests at the same time on one connection. A collector has 10 for each exporter and signal; a proxy in between brings
/// those of many.
const MAX_STREAMS: u32 = 128;

/// Streams that a client may reset before we have looked at them, and those that we have reset for its errors, before the
/// connection is ended (CVE-2023-44487 and its kin).
const MAX_RESETS_BEFORE_ACCEPT: usize = 32;
const MAX_RESETS_FOR_ERRORS: usize = 256;

/// All headers of a request together, in bytes.
const MAX_HEADERS: u32 = 16 << 10;

/// Read buffer of an HTTP/1.1 connection, and so the largest chunk of a body and the longest head.
const HTTP1_BUFFER: usize = 32 << 10;

/// Answers are small; more than this never waits for a client that does not read.
const SEND_BUFFER: usize = 64 << 10;

/// How long a ping may go unanswered.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long requests in progress may take when their connection is renewed.
const RENEWAL_GRACE: Duration = Duration::from_secs(30);

/// Age varies by this share, so that clients which came together do not come back together.
const AGE_JITTER: f64 = 0.1;

/// What a door asks of its connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manners {
    /// After which a connection is asked to renew itself; `None` for never.
    pub(super) max_age: Option<Duration>,
    /// Interval of pings on HTTP/2; `None` for none.
    pub(super) keepalive: Option<Duration>,
    /// How long the head of a request may take.
    pub(super) head_timeout: Duration,
}

impl Manners {
    /// When a connection that begins now is to be renewed; `None` for never.
    pub(super) fn renewal(&self) -> Option<Instant> {
        let age = self.max_age?.mul_f64(1.0 + rand::random_range(-AGE_JITTER..AGE_JITTER));
        Some(Instant::now() + age)
    }
}

/// One of the doors, as its connections meet it.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) transport: Transport,
    /// `None` for plain text.
    pub(super) tls: Option<Tls>,
    pub(super) stats: Arc<Stats>,
    untold: Repeats,
}

impl Door {
    pub(super) fn new(transport: Transport, tls: Option<Tls>, stats: Arc<Stats>) -> Door {
        Door { transport, tls, stats, untold: Repeats::default() }
    }

    /// Serves one connection to its end. Whatever goes wrong with it ends here.
    pub(super) async fn serve<S, B>(
        &self,
        manners: Manners,
        stream: TcpStream,
        service: S,
        mut stop: watch::Receiver<bool>,
    ) where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let Some(tls) = &self.tls else { return talk(manners, stream, service, stop).await };
        let peer = stream.peer_addr().ok();
        let shaken = tokio::select! {
            shaken = tls.shake(stream) => shaken,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match shaken {
            Ok(stream) => talk(manners, stream, service, stop).await,
            Err(why) => self.turned_away(&why, peer),
        }
    }

    fn turned_away(&self, why: &NoHandshake, peer: Option<SocketAddr>) {
        let turned = match why {
            NoHandshake::Gone => return,
            NoHandshake::Plaintext => Turned::Plaintext,
            NoHandshake::Slow => Turned::Timeout,
            NoHandshake::Failed(_) => Turned::Handshake,
        };
        self.stats.turn_away(self.transport, turned);
        tracing::debug!(?peer, %why, "no handshake");
        if let Some(count) = self.untold.count() {
            let (door, peer) = (self.transport.as_str(), peer.map(|peer| peer.ip().to_canonical().to_string()));
            tracing::warn!(door, last = %why, peer, count, "connections without a TLS handshake");
        }
    }
}

/// The protocols of a door, with every limit set.
fn protocols(manners: &Manners) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .adaptive_window(false)
        .max_frame_size(MAX_FRAME)
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_RESETS_BEFORE_ACCEPT)
        .max_local_error_reset_streams(MAX_RESETS_FOR_ERRORS)
        .max_header_list_size(MAX_HEADERS)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(manners.keepalive)
        .keep_alive_timeout(PING_TIMEOUT)
        .auto_date_header(false);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(manners.head_timeout).max_buf_size(HTTP1_BUFFER);
    builder
}

async fn talk<T, S, B>(manners: Manners, stream: T, service: S, stop: watch::Receiver<bool>)
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let io = TokioIo::new(Wire::new(stream, manners.head_timeout));
    drive(protocols(&manners).serve_connection(io, service), manners.renewal(), stop).await;
}

async fn drive<C>(connection: C, renewal: Option<Instant>, mut stop: watch::Receiver<bool>)
where
    C: GracefulConnection,
    C::Error: std::fmt::Display,
{
    let mut connection = pin!(connection);
    let old = async {
        match renewal {
            Some(moment) => sleep_until(moment).await,
            None => std::future::pending().await,
        }
    };
    let stopping = tokio::select! {
        result = connection.as_mut() => return ended(result),
        _ = stop.wait_for(|stop| *stop) => true,
        () = old => false,
    };
    // HTTP/2 gets a GOAWAY, HTTP/1.1 no further request; what is in progress is answered.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        result = connection => ended(result),
        // At a stop the time is the caller's to limit.
        () = sleep(RENEWAL_GRACE), if !stopping => tracing::debug!("connection did not end in time, and is dropped"),
    }
}

fn ended<E: std::fmt::Display>(result: Result<(), E>) {
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}

#[cfg(test)]
mod tests;
