//! Listening: addresses bound, connections accepted and counted, all of them ended in order at a stop.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::CONNECTION;
use ::http::{HeaderValue, Request, Version};
use futures_util::future::OptionFuture;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::accept::Gate;
use super::auth::Auth;
use super::connection::{Door, Manners};
use super::rules::Rules;
use super::stats::{Stats, Transport, Turned};
use super::tls::Tls;
use super::{files, grpc, http};
use crate::config::ReceiverConfig;
use crate::files::FileError;
use crate::otlp::tag::Tags;
use crate::queue::Queue;
use crate::repeats::Repeats;

/// Connections that the kernel holds until they are accepted: those of a whole cluster that come back at once.
const BACKLOG: u32 = 1024;

/// A rest after an accept that failed, usually for want of file descriptors.
const REST: Duration = Duration::from_millis(100);

/// The doors, bound and not yet serving.
#[derive(Debug)]
pub struct Doors {
    rules: Arc<Rules>,
    auth: Arc<Auth>,
    tags: Arc<Tags>,
    grpc: Option<(TcpListener, Option<Tls>)>,
    http: Option<(TcpListener, Option<Tls>)>,
}

/// Doors that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A certificate, a key or credentials are of no use.
    #[error("receivers.otlp.{key}: {source}")]
    File {
        /// The key, below `receivers.otlp`.
        key: &'static str,
        /// The file that it names, and what is wrong with it.
        source: FileError,
    },
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
    /// Binds the doors that are configured, having read the files they need. Port 0 lets the system choose; see
    /// [`Doors::grpc_address`].
    ///
    /// # Errors
    /// [`OpenError`], which names the door, its endpoint or file, and the remedy.
    pub async fn bind(config: &ReceiverConfig) -> Result<Doors, OpenError> {
        let no_use = |key| move |source| OpenError::File { key, source };
        let auth = Auth::new(&config.auth).map_err(|(key, source)| OpenError::File { key, source })?;
        let grpc = match &config.grpc {
            Some(grpc) => {
                let tls = grpc.tls.as_ref().map(Tls::new).transpose().map_err(no_use("protocols.grpc.tls"))?;
                Some((listen("grpc", &grpc.endpoint).await?, tls))
            }
            None => None,
        };
        let http = match &config.http {
            Some(http) => {
                let tls = http.tls.as_ref().map(Tls::new).transpose().map_err(no_use("protocols.http.tls"))?;
                Some((listen("http", &http.endpoint).await?, tls))
            }
            None => None,
        };
        Ok(Doors { rules: Arc::new(Rules::new(config)), auth: Arc::new(auth), tags: Arc::default(), grpc, http })
    }

    /// Where OTLP/gRPC is spoken; `None` without that door.
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.grpc.as_ref()?.0.local_addr().ok()
    }

    /// Where OTLP/HTTP is spoken; `None` without that door.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref()?.0.local_addr().ok()
    }

    /// The same doors, where every resource gets these attributes.
    pub fn tagging(self, tags: Tags) -> Doors {
        Doors { tags: Arc::new(tags), ..self }
    }

    /// What the doors allow, to be changed while they serve.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules)
    }

    /// Serves until `stop` holds true or its sender is gone; then accepts nothing more, lets requests in progress end, and
    /// returns when the last connection has. How long that may take is the caller's to limit: dropping the future ends
    /// every connection at once.
    pub async fn serve(self, queue: Queue, stats: Arc<Stats>, stop: watch::Receiver<bool>) {
        let Doors { rules, auth, tags, grpc, http } = self;
        let gate = Arc::new(Gate::new(rules, Arc::clone(&auth), tags, queue, Arc::clone(&stats)));
        let entrance = |transport, (listener, tls)| {
            let (door, rules) = (Door::new(transport, tls, Arc::clone(&stats)), Arc::clone(&gate.rules));
            Entrance { listener, door: Arc::new(door), rules, stop: stop.clone() }
        };
        let grpc = grpc.map(|bound| entrance(Transport::Grpc, bound));
        let http = http.map(|bound| entrance(Transport::Http, bound));
        let doors = [&grpc, &http].map(|entrance| entrance.as_ref().map(|entrance| Arc::clone(&entrance.door)));
        tokio::join!(
            OptionFuture::from(grpc.map(|entrance| serve_grpc(Arc::clone(&gate), entrance))),
            OptionFuture::from(http.map(|entrance| serve_http(Arc::clone(&gate), entrance))),
            files::follow(auth, doors, Arc::clone(&stats), stop.clone()),
        );
    }
}

async fn serve_grpc(gate: Arc<Gate>, entrance: Entrance) {
    let serve = move |door: Arc<Door>, stream, stop| {
        let manners = gate.rules.now().manners(Transport::Grpc);
        let (gate, budget) = (Arc::clone(&gate), gate.connection());
        let service = service_fn(move |request| {
            let (gate, budget) = (Arc::clone(&gate), Arc::clone(&budget));
            async move { Ok::<_, Infallible>(grpc::answer(&gate, budget, request).await) }
        });
        async move { door.serve(manners, stream, service, stop).await }
    };
    entrance.admit(serve).await;
}

async fn serve_http(gate: Arc<Gate>, entrance: Entrance) {
    let routes = TowerToHyperService::new(http::router(Arc::clone(&gate)));
    let serve = move |door: Arc<Door>, stream, stop| {
        let manners = gate.rules.now().manners(Transport::Http);
        let (routes, budget, renewal) = (routes.clone(), gate.connection(), manners.renewal());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Arc::clone(&budget));
            let is_http1 = request.version() < Version::HTTP_2;
            let answer = routes.call(request);
            async move {
                let mut answer = answer.await?;
                if is_http1 && renewal.is_some_and(|moment| Instant::now() >= moment) {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer)
            }
        });
        // HTTP/1.1 is told in an answer. One without a request since is idle, and ended for that.
        let max_age = manners.max_age.map(|age| age + manners.head_timeout);
        let manners = Manners { max_age, ..manners };
        async move { door.serve(manners, stream, service, stop).await }
    };
    entrance.admit(serve).await;
}

/// One listening socket and what concerns its connections alike.
struct Entrance {
    listener: TcpListener,
    door: Arc<Door>,
    rules: Arc<Rules>,
    stop: watch::Receiver<bool>,
}

impl Entrance {
    /// Accepts connections and serves each in a task of its own until the stop; then waits for those tasks.
    async fn admit<F>(self, serve: impl Fn(Arc<Door>, TcpStream, watch::Receiver<bool>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Entrance { listener, door, rules, mut stop } = self;
        let mut open = JoinSet::new();
        let (refused, failed) = (Repeats::default(), Repeats::default());
        loop {
            let accepted = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some(_) = open.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => match door.stats.connect(rules.now().connections) {
                    Some(connected) => {
                        // Answers are single small writes that somebody waits for.
                        let _ = stream.set_nodelay(true);
                        let connection = serve(Arc::clone(&door), stream, stop.clone());
                        open.spawn(async move {
                            connection.await;
                            drop(connected);
                        });
                    }
                    // At once, rather than after its deadline, the client learns that it has to go elsewhere or come back.
                    None => {
                        door.stats.turn_away(door.transport, Turned::Full);
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
