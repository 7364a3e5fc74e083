//! Listening: addresses bound, connections accepted and counted, all of them ended in order at a stop.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::accept::Gate;
use super::body::Limits;
use super::connection::{self, Manners};
use super::notice::Throttle;
use super::stats::Stats;
use super::{grpc, http};
use crate::config::{GrpcConfig, HttpConfig, ReceiverConfig};
use crate::queue::Queue;

/// Connections that the kernel holds until they are accepted: those of a whole cluster that come back at once.
const BACKLOG: u32 = 1024;

/// How long the body of a gRPC request may take. The HTTP door has a key for it, with this default.
const GRPC_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A rest after an accept that failed, usually for want of file descriptors.
const REST: Duration = Duration::from_millis(100);

/// The doors, bound and not yet serving.
#[derive(Debug)]
pub struct Doors {
    config: ReceiverConfig,
    grpc: Option<TcpListener>,
    http: Option<TcpListener>,
}

/// A door whose address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("receivers.otlp.protocols.{door}.endpoint: cannot listen on {endpoint}: {}", self.remedy())]
pub struct BindError {
    /// `grpc` or `http`.
    pub door: &'static str,
    /// The address as configured.
    pub endpoint: String,
    /// What the system said.
    pub source: io::Error,
}

impl BindError {
    /// Whether another socket has the address.
    pub fn in_use(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }

    fn remedy(&self) -> &'static str {
        match self.source.kind() {
            io::ErrorKind::AddrInUse => "the port is in use; stop what listens there, or choose another port",
            io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address; 0.0.0.0 and [::] stand for all it has"
            }
            io::ErrorKind::PermissionDenied => "ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one",
            io::ErrorKind::InvalidInput => "it is not of the form host:port or [address]:port",
            _ => "check host and port",
        }
    }
}

impl Doors {
    /// Binds the doors that are configured. Port 0 lets the system choose; see [`Doors::grpc_address`].
    ///
    /// # Errors
    /// [`BindError`], which names the door, its endpoint and the remedy.
    pub async fn bind(config: &ReceiverConfig) -> Result<Doors, BindError> {
        let grpc = match &config.grpc {
            Some(grpc) => Some(listen("grpc", &grpc.endpoint).await?),
            None => None,
        };
        let http = match &config.http {
            Some(http) => Some(listen("http", &http.endpoint).await?),
            None => None,
        };
        Ok(Doors { config: config.clone(), grpc, http })
    }

    /// Where OTLP/gRPC is spoken; `None` without that door.
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.grpc.as_ref()?.local_addr().ok()
    }

    /// Where OTLP/HTTP is spoken; `None` without that door.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref()?.local_addr().ok()
    }

    /// Serves until `stop` holds true or its sender is gone; then accepts nothing more, lets requests in progress end, and
    /// returns when the last connection has. How long that may take is the caller's to limit: dropping the future ends
    /// every connection at once.
    pub async fn serve(self, queue: Queue, stats: Arc<Stats>, stop: watch::Receiver<bool>) {
        let gate = Arc::new(Gate::new(&self.config, queue, stats));
        let seats = Arc::new(Semaphore::new(self.config.max_connections.min(Semaphore::MAX_PERMITS)));
        let grpc = async {
            if let (Some(listener), Some(config)) = (self.grpc, &self.config.grpc) {
                serve_grpc(&gate, config, Entrance::new(listener, &seats, &gate, &stop)).await;
            }
        };
        let http = async {
            if let (Some(listener), Some(config)) = (self.http, &self.config.http) {
                serve_http(&gate, config, Entrance::new(listener, &seats, &gate, &stop)).await;
            }
        };
        tokio::join!(grpc, http);
    }
}

async fn serve_grpc(gate: &Arc<Gate>, config: &GrpcConfig, entrance: Entrance) {
    let limits = Limits { size: size(config.max_request), time: GRPC_READ_TIMEOUT };
    let manners = Manners {
        max_age: Some(config.max_connection_age).filter(|age| !age.is_zero()),
        keepalive: Some(config.keepalive).filter(|interval| !interval.is_zero()),
        head_timeout: GRPC_READ_TIMEOUT,
    };
    let protocols = Arc::new(connection::protocols(&manners));
    let gate = Arc::clone(gate);
    entrance
        .admit(move |stream, stop| {
            let (gate, protocols) = (Arc::clone(&gate), Arc::clone(&protocols));
            let service = service_fn(move |request| {
                let gate = Arc::clone(&gate);
                async move { Ok::<_, Infallible>(grpc::answer(&gate, limits, request).await) }
            });
            async move { connection::serve(&protocols, manners, stream, service, stop).await }
        })
        .await;
}

async fn serve_http(gate: &Arc<Gate>, config: &HttpConfig, entrance: Entrance) {
    let limits = Limits { size: size(config.max_request), time: config.read_timeout };
    // Age and pings have keys at the gRPC door only; here connections end when they are idle for `read_timeout`.
    let manners =
        Manners { max_age: None, keepalive: Some(GrpcConfig::default().keepalive), head_timeout: config.read_timeout };
    let protocols = Arc::new(connection::protocols(&manners));
    let service = TowerToHyperService::new(http::router(Arc::clone(gate), limits));
    entrance
        .admit(move |stream, stop| {
            let (protocols, service) = (Arc::clone(&protocols), service.clone());
            async move { connection::serve(&protocols, manners, stream, service, stop).await }
        })
        .await;
}

/// What a batch can tell of its length.
fn size(bytes: u64) -> usize {
    usize::try_from(bytes.min(u32::MAX.into())).unwrap_or(usize::MAX)
}

/// One listening socket and what concerns its connections alike.
struct Entrance {
    listener: TcpListener,
    seats: Arc<Semaphore>,
    stats: Arc<Stats>,
    stop: watch::Receiver<bool>,
}

impl Entrance {
    fn new(listener: TcpListener, seats: &Arc<Semaphore>, gate: &Gate, stop: &watch::Receiver<bool>) -> Entrance {
        let (seats, stats) = (Arc::clone(seats), Arc::clone(&gate.stats));
        Entrance { listener, seats, stats, stop: stop.clone() }
    }

    /// Accepts connections and serves each in a task of its own until the stop; then waits for those tasks.
    async fn admit<F>(self, serve: impl Fn(TcpStream, watch::Receiver<bool>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Entrance { listener, seats, stats, mut stop } = self;
        let mut open = JoinSet::new();
        let (refused, failed) = (Throttle::default(), Throttle::default());
        loop {
            let accepted = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some(_) = open.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => match Arc::clone(&seats).try_acquire_owned() {
                    Ok(seat) => {
                        // Answers are single small writes that somebody waits for.
                        let _ = stream.set_nodelay(true);
                        let (connection, stats) = (serve(stream, stop.clone()), Arc::clone(&stats));
                        open.spawn(async move {
                            let _open = stats.connect();
                            connection.await;
                            drop(seat);
                        });
                    }
                    // At once, rather than after its deadline, the client learns that it has to go elsewhere or come back.
                    Err(_) => {
                        tracing::debug!(%peer, "connection refused");
                        if let Some(count) = refused.count() {
                            tracing::warn!(count, "connections refused: receivers.otlp.max_connections are open");
                        }
                    }
                },
                Err(error) => {
                    if let Some(count) = failed.count() {
                        tracing::warn!(%error, count, "connections could not be accepted");
                    }
                    sleep(REST).await;
                }
            }
        }
        drop(listener);
        while open.join_next().await.is_some() {}
    }
}

async fn listen(door: &'static str, endpoint: &str) -> Result<TcpListener, BindError> {
    let failed = |source| BindError { door, endpoint: endpoint.to_owned(), source };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in lookup_host(endpoint).await.map_err(failed)? {
        match listen_on(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart finds the connections of the run before in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
