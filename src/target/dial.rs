//! One connection to a target: resolve, connect, tunnel through a proxy, shake hands over TLS.
//!
//! Each step that fails is named in the error, which is why this is not left to a library: what delivery tells an operator
//! is "the name does not resolve", not "transport error". The name is resolved at each dial, so nothing stale is dialed.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsConnector;

use super::names::Names;
use super::route::{Endpoint, Proxy};
use super::tls::Tls;
use crate::otlp::answer::{Answer, Break};

/// Longest way to a connection, all steps together: a few round trips and one lost SYN (1 s, then 2 s).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Head start of one address before the next is tried beside it (RFC 8305 recommends 250 ms).
const HEAD_START: Duration = Duration::from_millis(250);

/// Addresses of a name that are tried; more would not fit into the timeout.
const MOST_ADDRESSES: usize = 8;

/// Longest answer of a proxy to CONNECT, in bytes: a status line and a few headers.
const PROXY_ANSWER: usize = 8 << 10;

/// A byte stream to a target.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Why no connection came about.
#[derive(Debug, Clone)]
pub(super) struct DialError {
    /// The step that failed.
    pub(super) at: Break,
    /// What happened, with the name or address it happened to.
    pub(super) message: String,
}

impl DialError {
    pub(super) fn answer(&self) -> Answer {
        Answer::Broken { at: self.at, message: self.message.clone() }
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DialError {}

/// Knows the way to one endpoint.
pub(super) struct Dialer {
    endpoint: Endpoint,
    proxy: Option<Proxy>,
    /// Whether a proxy is asked for a tunnel; plain HTTP requests are handed to it as they are.
    tunnel: bool,
    tls: Option<(Arc<Tls>, ServerName<'static>)>,
    names: Arc<Names>,
    timeout: Duration,
}

impl Dialer {
    /// A dialer that takes at most [`CONNECT_TIMEOUT`], and never longer than `timeout`.
    pub(super) fn new(
        endpoint: Endpoint,
        proxy: Option<Proxy>,
        tunnel: bool,
        tls: Option<(Arc<Tls>, ServerName<'static>)>,
        timeout: Duration,
    ) -> Dialer {
        let (host, port) = match &proxy {
            Some(proxy) => (proxy.host.clone(), proxy.port),
            None => (endpoint.host.clone(), endpoint.port),
        };
        let timeout = timeout.min(CONNECT_TIMEOUT);
        Dialer { endpoint, proxy, tunnel, tls, names: Arc::new(Names::new(host, port)), timeout }
    }

    /// The name that is resolved on the way.
    pub(super) fn names(&self) -> &Arc<Names> {
        &self.names
    }

    /// Longest time that [`Dialer::dial`] takes.
    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Makes a connection, TLS included where the endpoint wants it.
    pub(super) async fn dial(&self) -> Result<Box<dyn Io>, DialError> {
        let deadline = Instant::now() + self.timeout;
        let (host, port) = self.names.name();
        let there = self.endpoint.authority();

        let found = timeout_at(deadline, self.names.resolve()).await;
        let mut addresses = self.step(found, Break::Resolve, format_args!("resolving {host}"))?;
        addresses.truncate(MOST_ADDRESSES);

        let place = format!("{host}:{port}");
        let connected = timeout_at(deadline, connect(addresses, &place)).await;
        let mut stream = self.step(connected, Break::Connect, format_args!("connecting to {place}"))?;

        if let (Some(proxy), true) = (&self.proxy, self.tunnel) {
            let tunnelled = timeout_at(deadline, tunnel(&mut stream, &there, proxy)).await;
            let doing = format_args!("asking the proxy {host}:{port} for a tunnel to {there}");
            self.step(tunnelled, Break::Connect, doing)?;
        }
        match self.tls.as_ref().filter(|_| self.proxy.is_none() || self.tunnel) {
            None => Ok(Box::new(stream)),
            Some((tls, name)) => {
                let connector = TlsConnector::from(tls.get().0);
                let secured = timeout_at(deadline, connector.connect(name.clone(), stream)).await;
                Ok(Box::new(self.step(secured, Break::Tls, format_args!("TLS with {there}"))?))
            }
        }
    }

    /// What a step came to; its error says what was being done.
    fn step<T>(
        &self,
        done: Result<io::Result<T>, Elapsed>,
        at: Break,
        doing: fmt::Arguments<'_>,
    ) -> Result<T, DialError> {
        match done {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(DialError { at, message: format!("{doing}: {error}") }),
            Err(_) => Err(DialError { at, message: format!("{doing}: no answer within {:?}", self.timeout) }),
        }
    }
}

/// Connects to the first address that answers; each next one is tried beside the others after a head start.
async fn connect(addresses: Vec<SocketAddr>, place: &str) -> io::Result<TcpStream> {
    let mut attempts: FuturesUnordered<_> = addresses
        .into_iter()
        .enumerate()
        .map(|(turn, address)| async move {
            sleep(HEAD_START * u32::try_from(turn).unwrap_or(u32::MAX)).await;
            let named = |error: io::Error| match address.to_string() {
                known if known == place => error,
                address => io::Error::new(error.kind(), format!("{address}: {error}")),
            };
            TcpStream::connect(address).await.map_err(named)
        })
        .collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    while let Some(attempt) = attempts.next().await {
        match attempt {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Asks a proxy for a tunnel (RFC 9110, 9.3.6).
async fn tunnel(stream: &mut TcpStream, authority: &str, proxy: &Proxy) -> io::Result<()> {
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await?;
    // Byte by byte, since what follows the empty line belongs to the target; once a connection, a hundred bytes.
    let mut answer = Vec::with_capacity(128);
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= PROXY_ANSWER {
            return Err(io::Error::other("its answer does not end"));
        }
        answer.push(stream.read_u8().await?);
    }
    let status_line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
    match status_line.split_whitespace().nth(1) {
        Some(status) if status.len() == 3 && status.starts_with('2') => Ok(()),
        _ => Err(io::Error::other(format!("it answered {status_line:?}"))),
    }
}
