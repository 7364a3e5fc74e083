//! Listening: addresses bound, connections accepted and counted, all of them ended in order at a stop.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::accept::Gate;
use super::connection;
use super::notice::Throttle;
use super::rules::Rules;
use super::stats::{Stats, Transport};
use super::{grpc, http};
use crate::config::ReceiverConfig;
use crate::queue::Queue;

/// Connections that the kernel holds until they are accepted: those of a whole cluster that come back at once.
const BACKLOG: u32 = 1024;

/// A rest after an accept that failed, usually for want of file descriptors.
const REST: Duration = Duration::from_millis(100);

/// The doors, bound and not yet serving.
#[derive(Debug)]
pub struct Doors {
    rules: Arc<Rules>,
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
        Ok(Doors { rules: Arc::new(Rules::new(config)), grpc, http })
    }

    /// Where OTLP/gRPC is spoken; `None` without that door.
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.grpc.as_ref()?.local_addr().ok()
    }

    /// Where OTLP/HTTP is spoken; `None` without that door.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref()?.local_addr().ok()
    }

    /// What the doors allow, to be changed while they serve.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules)
    }

    /// Serves until `stop` holds true or its sender is gone; then accepts nothing more, lets requests in progress end, and
    /// returns when the last connection has. How long that may take is the caller's to limit: dropping the future ends
    /// every connection at once.
    pub async fn serve(self, queue: Queue, stats: Arc<Stats>, stop: watch::Receiver<bool>) {
        let gate = Arc::new(Gate::new(self.rules, queue, stats));
        let grpc = async {
            if let Some(listener) = self.grpc {
                serve_grpc(&gate, Entrance::new(listener, &gate, &stop)).await;
            }
        };
        let http = async {
            if let Some(listener) = self.http {
                serve_http(&gate, Entrance::new(listener, &gate, &stop)).await;
            }
        };
        tokio::join!(grpc, http);
    }
}

async fn serve_grpc(gate: &Arc<Gate>, entrance: Entrance) {
    let gate = Arc::clone(gate);
    entrance
        .admit(move |stream, stop| {
            let manners = gate.rules.now().manners(Transport::Grpc);
            let gate = Arc::clone(&gate);
            let service = service_fn(move |request| {
                let gate = Arc::clone(&gate);
                async move { Ok::<_, Infallible>(grpc::answer(&gate, request).await) }
            });
            connection::serve(manners, stream, service, stop)
        })
        .await;
}

async fn serve_http(gate: &Arc<Gate>, entrance: Entrance) {
    let service = TowerToHyperService::new(http::router(Arc::clone(gate)));
    let gate = Arc::clone(gate);
    entrance
        .admit(move |stream, stop| {
            connection::serve(gate.rules.now().manners(Transport::Http), stream, service.clone(), stop)
        })
        .await;
}

/// One listening socket and what concerns its connections alike.
struct Entrance {
    listener: TcpListener,
    rules: Arc<Rules>,
    stats: Arc<Stats>,
    stop: watch::Receiver<bool>,
}

impl Entrance {
    fn new(listener: TcpListener, gate: &Gate, stop: &watch::Receiver<bool>) -> Entrance {
        let (rules, stats) = (Arc::clone(&gate.rules), Arc::clone(&gate.stats));
        Entrance { listener, rules, stats, stop: stop.clone() }
    }

    /// Accepts connections and serves each in a task of its own until the stop; then waits for those tasks.
    async fn admit<F>(self, serve: impl Fn(TcpStream, watch::Receiver<bool>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Entrance { listener, rules, stats, mut stop } = self;
        let mut open = JoinSet::new();
        let (refused, failed) = (Throttle::default(), Throttle::default());
        loop {
            let accepted = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some(_) = open.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => match stats.connect(rules.now().connections) {
                    Some(connected) => {
                        // Answers are single small writes that somebody waits for.
                        let _ = stream.set_nodelay(true);
                        let connection = serve(stream, stop.clone());
                        open.spawn(async move {
                            connection.await;
                            drop(connected);
                        });
                    }
                    // At once, rather than after its deadline, the client learns that it has to go elsewhere or come back.
                    None => {
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
