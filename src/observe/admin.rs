//! The admin port and socket: metrics, probes, status, page and commands over HTTP/1.1, on a thread and a small runtime of their
//! own.
//!
//! Of its own, so that it answers while the runtime that moves the data is stuck: that is what `/livez` is to tell, and
//! when the metrics are wanted most.

use std::net::SocketAddr;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io, thread};

use axum::body::Body;
use http::Request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tower::ServiceExt as _;
use tracing::{info, warn};

use super::access::{Access, Peer};
use super::events::Events;
use super::observer::Observer;
use super::routes;
use crate::config::AdminConfig;
use crate::repeats::Repeats;

/// Open connections; a scraper, some probes and a few people need ten.
const MAX_CONNECTIONS: usize = 256;
/// Time for the head of a request, the wait for the next one on a kept connection included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Life of a connection, so that one that reads nothing does not hold its place for good.
const CONNECTION_AGE: Duration = Duration::from_secs(300);
/// Time that answers under way get at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// Threads for snapshots. If they hang, probes and the rest of the runtime go on.
const SNAPSHOT_THREADS: usize = 4;

/// The admin endpoint could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("admin.endpoint {endpoint} cannot be listened on")]
pub struct BindError {
    /// The endpoint as configured.
    pub endpoint: String,
    /// Why.
    pub source: io::Error,
}

/// The admin port, bound and not yet served.
#[derive(Debug)]
pub struct Admin {
    listener: std::net::TcpListener,
    address: SocketAddr,
    access: Access,
}

/// An admin port that is served. Ends with the `stop` it was given.
pub struct Serving {
    thread: thread::JoinHandle<()>,
    done: oneshot::Receiver<()>,
    socket: Option<oneshot::Sender<StdUnixListener>>,
}

impl Admin {
    /// Binds the configured endpoint; port 0 lets the system choose.
    pub async fn bind(config: &AdminConfig) -> Result<Admin, BindError> {
        let failed = |source| BindError { endpoint: config.endpoint.clone(), source };
        let listener = TcpListener::bind(&config.endpoint).await.and_then(TcpListener::into_std).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Admin { listener, address, access: Access::new(config.token_file.clone()) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` turns true, which should come last at the end of the process: who asks why it takes so long is
    /// still answered. Fails when the system gives no thread.
    pub fn serve(self, observer: Observer, stop: watch::Receiver<bool>) -> io::Result<Serving> {
        let Admin { listener, address, access } = self;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(SNAPSHOT_THREADS)
            .build()?;
        let (ended, done) = oneshot::channel();
        let (socket, socket_made) = oneshot::channel();
        let thread = thread::Builder::new().name("admin".to_owned()).spawn(move || {
            let events = Events::new(observer.clone(), stop.clone());
            let router = routes::router(observer, access, events.clone());
            let mut stopped = stop.clone();
            let port = async {
                match TcpListener::from_std(listener) {
                    Ok(listener) => accept(listener, router.clone(), stop.clone()).await,
                    Err(error) => warn!(%error, "the admin port is not served"),
                }
            };
            let socket = async {
                let listener = tokio::select! {
                    made = socket_made => made,
                    _ = stopped.wait_for(|stop| *stop) => return,
                };
                let Ok(listener) = listener else { return };
                match UnixListener::from_std(listener) {
                    Ok(listener) => accept(listener, router.clone(), stop.clone()).await,
                    Err(error) => warn!(%error, "the admin socket is not served"),
                }
            };
            runtime.block_on(async { tokio::join!(port, socket, events.run()) });
            // A snapshot that hangs must not keep the process from ending.
            runtime.shutdown_background();
            let _ = ended.send(());
        })?;
        info!(%address, "admin port: the page at /, /metrics, /livez, /readyz, /startupz, /status");
        Ok(Serving { thread, done, socket: Some(socket) })
    }
}

impl Serving {
    /// Serves the admin socket too, from now on. Only the first call counts.
    pub fn also_at(&mut self, socket: StdUnixListener) {
        if let Some(made) = self.socket.take() {
            let _ = made.send(socket); // fails only when the thread has ended
        }
    }

    /// Waits for the end, which is at most two seconds after `stop`.
    pub async fn ended(self) {
        let _ = self.done.await;
        let _ = self.thread.join();
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").finish_non_exhaustive()
    }
}

/// What connections come from.
trait Listen {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    async fn next(&self) -> io::Result<(Self::Stream, Peer)>;
}

impl Listen for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<(TcpStream, Peer)> {
        self.accept().await.map(|(stream, peer)| (stream, Peer::Address(peer.ip())))
    }
}

impl Listen for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<(UnixStream, Peer)> {
        self.accept().await.map(|(stream, _)| (stream, Peer::Socket))
    }
}

async fn accept(listener: impl Listen, router: axum::Router, mut stop: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let failures = Repeats::default();
    loop {
        let slot = slots.clone().acquire_owned();
        let next = async { (slot.await, listener.next().await) };
        let (slot, accepted) = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            next = next => next,
            // Ended ones are taken out as they end, or the set would grow.
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = serve(stream, peer, router.clone(), stop.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            // No file descriptors left, most likely: the doors took them, and give some back.
            Err(error) => {
                if let Some(held_back) = failures.tell() {
                    warn!(%error, held_back, "the admin port could not accept a connection");
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
    drop(listener);
    let last = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_ANSWERS, last).await;
}

async fn serve<S>(stream: S, peer: Peer, router: axum::Router, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        router.clone().oneshot(request.map(Body::new))
    });
    let mut http = http1::Builder::new();
    let connection = http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let mut connection = std::pin::pin!(connection.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // How a connection ends is the client's affair.
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => {}
        () = tokio::time::sleep(CONNECTION_AGE) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(HEAD_TIMEOUT, connection).await;
}
