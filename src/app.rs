//! The composition root: the only file that knows every part; start order and stop order.

mod hot;
mod own;
mod reload;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tracing::{info, warn};

use self::reload::Told;
pub use self::reload::{Load, Outside, SetLog};
use crate::batch::Signal;
use crate::config::{ClusterConfig, Config, Order, QueueConfig, ShutdownConfig, TagAction};
use crate::deliver::by_hand::ByHand;
use crate::deliver::{Deliver, Plan};
use crate::observe::socket::{self, SocketFile};
use crate::observe::{self, Admin, Facts, Observer, Registry, RegistryError, Serving, Sources};
use crate::otlp::tag::Tags;
use crate::queue::{OpenError, Queue, QueueError};
use crate::receive::{self, Doors, Rules};
use crate::target::{self, Tracer};

/// Of the time to stop, what is kept for closing the store.
const CLOSING: Duration = Duration::from_secs(5);

/// What the last spans of our own may take of it.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// A running gateway. It runs until [`App::stop`].
pub struct App {
    addresses: Addresses,
    shutdown: ShutdownConfig,
    queue: Queue,
    deliver: Arc<Deliver>,
    rules: Arc<Rules>,
    observer: Observer,
    stop_doors: watch::Sender<bool>,
    doors: JoinHandle<()>,
    /// Told last of all: who asks why stopping takes so long is still answered.
    stop_admin: watch::Sender<bool>,
    admin: Serving,
    socket: Option<SocketFile>,
    watching: JoinHandle<()>,
    /// What is told of reloads, and the task that makes them.
    told: Arc<Told>,
    follower: Option<(watch::Sender<bool>, JoinHandle<()>)>,
    /// Of exports, where `telemetry.traces` is set.
    tracer: Option<Arc<Tracer>>,
    /// What sends spans and heartbeats.
    own: (watch::Sender<bool>, JoinSet<()>),
}

/// Where the gateway listens, with the ports that the system chose for port 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// OTLP/gRPC.
    pub grpc: Option<SocketAddr>,
    /// OTLP/HTTP.
    pub http: Option<SocketAddr>,
    /// Metrics, probes, status.
    pub admin: SocketAddr,
}

/// Why a gateway did not start. Nothing was accepted, and nothing on disk was changed unless the store itself says so.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A target cannot be set up: a certificate or token cannot be read.
    #[error(transparent)]
    Target(#[from] target::BuildError),
    /// A door cannot be opened: its address is taken, or a file that it needs is of no use.
    #[error(transparent)]
    Door(#[from] receive::OpenError),
    /// The admin port cannot be opened.
    #[error(transparent)]
    Admin(#[from] observe::BindError),
    /// The queue cannot be opened.
    #[error(transparent)]
    Queue(#[from] OpenError),
    /// What was ordered by hand cannot be read from the queue.
    #[error("what was ordered by hand cannot be read")]
    ByHand(#[source] QueueError),
    /// Two metrics of one name: a bug.
    #[error(transparent)]
    Metrics(#[from] RegistryError),
    /// The system gives no thread for the admin port.
    #[error("no thread for the admin port")]
    Thread(#[source] io::Error),
}

impl App {
    /// Binds the ports, opens the queue, starts delivery, then the doors: whoever is refused is refused before anything
    /// on disk was touched, and whoever is let in finds a queue behind the door.
    ///
    /// # Errors
    /// [`StartError`]; no target is contacted, so none can make the start fail or wait.
    pub async fn start(config: Config) -> Result<App, StartError> {
        let packing = config.packing();
        let Config { cluster, receivers, queue: queue_config, targets, chain, replay, admin, shutdown, telemetry } =
            config;
        let tags = Arc::new(tags(&cluster));
        let (tracer, traces) = match telemetry.traces_target() {
            None => (None, None),
            Some(to) => {
                let (tracer, spans) = Tracer::new(telemetry.traces_sample, &cluster.name);
                (Some(tracer), Some((target::build(&to, &cluster.name)?, spans)))
            }
        };
        let mut built = Vec::with_capacity(targets.len());
        for target in targets {
            let sender = target::build_traced(&target, &cluster.name, tracer.as_ref())?;
            built.push((target, sender));
        }
        let doors = Doors::bind(&receivers).await?.tagging(Tags::clone(&tags));
        let admin_port = Admin::bind(&admin).await?;
        let rules = doors.rules();
        rules.change(&receivers, packing);
        let addresses =
            Addresses { grpc: doors.grpc_address(), http: doors.http_address(), admin: admin_port.address() };

        let facts = Facts {
            grpc: addresses.grpc,
            http: addresses.http,
            admin: Some(addresses.admin),
            ..Facts::new(&cluster.name)
        };
        let observer = Observer::new(facts, &Registry::new())?;
        let (stop_admin, admin_stopped) = watch::channel(false);
        let mut admin = admin_port.serve(observer.clone(), admin_stopped.clone()).map_err(StartError::Thread)?;
        // Before the queue is open: a salvage takes minutes, and a gateway that seems dead is killed in the middle of it.
        let watching = tokio::spawn({
            let observer = observer.clone();
            async move { observer.watch(admin_stopped).await }
        });

        let directory = queue_config.directory.clone();
        let orders = orders(&queue_config);
        let opening = tokio::task::spawn_blocking(move || Queue::open(&queue_config));
        let queue = opening.await.expect("opening the queue does not panic")?;
        observer.desk().open(queue.clone());
        let socket = admin_socket(&directory, &mut admin);
        let kept = queue.kept().await.map_err(StartError::ByHand)?;
        let by_hand = ByHand::decode(kept.as_deref());
        let deliver = Arc::new(Deliver::start(Plan { chain, replay, orders, targets: built }, &queue, by_hand));
        observer.desk().deliver(Arc::clone(&deliver));
        let (stop_own, own_stopped) = watch::channel(false);
        let mut own = JoinSet::new();
        if let Some((to, spans)) = traces {
            own.spawn(own::traces::run(spans, to, Arc::clone(&tags), own_stopped.clone()));
        }
        if let Some(every) = telemetry.heartbeat {
            own.spawn(own::heartbeat::run(every, cluster.name, Arc::clone(&deliver), tags, own_stopped));
        }
        let stats = Arc::new(receive::Stats::new());
        let told = Arc::new(Told::default());
        observer.recovered(sources(&queue, &deliver, &stats, &told));
        let (stop_doors, doors_stopped) = watch::channel(false);
        let doors = tokio::spawn(doors.serve(queue.clone(), stats, doors_stopped));
        let text = |address: Option<SocketAddr>| address.map(|address| address.to_string());
        info!(grpc = text(addresses.grpc), http = text(addresses.http), admin = %addresses.admin, "accepting");
        Ok(App {
            addresses,
            shutdown,
            queue,
            deliver,
            rules,
            observer,
            stop_doors,
            doors,
            stop_admin,
            admin,
            socket,
            watching,
            told,
            follower: None,
            tracer,
            own: (stop_own, own),
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The queue, to look into.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Delivery, to look into.
    pub fn deliver(&self) -> &Deliver {
        &self.deliver
    }

    /// Stops in the order that loses nothing: unready and lingering so that load balancers look elsewhere, doors,
    /// delivery, store, admin port. Ends within `shutdown.timeout`, whatever still hangs: what was acknowledged is on disk.
    ///
    /// `linger` is whether to wait for load balancers at all; a person at a terminal does not want to.
    pub async fn stop(self, linger: bool) {
        let ShutdownConfig { linger: pause, timeout } = self.shutdown;
        let deadline = Instant::now() + timeout;
        let left = |reserve: Duration| deadline.saturating_duration_since(Instant::now()).saturating_sub(reserve);
        self.observer.stopping();
        info!("stopping");
        if linger {
            tokio::time::sleep(pause.min(timeout / 2)).await;
        }
        if let Some((stop, follower)) = self.follower {
            stop.send_replace(true);
            let _ = tokio::time::timeout(left(CLOSING.min(timeout / 2)), follower).await;
        }
        self.stop_doors.send_replace(true);
        let patience = left(CLOSING.min(timeout / 2));
        let delivery = self.deliver.stop(patience);
        let mut serving = self.doors;
        let doors = tokio::time::timeout(patience, &mut serving);
        let (_, doors) = tokio::join!(delivery, doors);
        let (stop_own, own) = self.own;
        stop_own.send_replace(true);
        let _ = tokio::time::timeout(left(CLOSING).min(LAST_SPANS), own.join_all()).await;
        if doors.is_err() {
            serving.abort();
            warn!("some clients were cut off in the middle of a request: they had no OK and will send again");
        }
        drop(self.socket); // while the lock is held: afterwards a socket of that name may be another process's
        if tokio::time::timeout(left(Duration::ZERO), self.queue.close()).await.is_err() {
            warn!(
                "the store did not close in time; it will recover at the next start, and nothing acknowledged is lost"
            );
        }
        self.stop_admin.send_replace(true);
        let _ = self.watching.await;
        self.admin.ended().await;
        info!("stopped");
    }
}

/// What every resource is stamped with. Without a name nobody could tell whose data it is, so then it is nothing.
fn tags(cluster: &ClusterConfig) -> Tags {
    let ClusterConfig { name, region, environment, attributes, action } = cluster;
    if name.is_empty() || *action == TagAction::Off {
        return Tags::default();
    }
    let own = [
        ("k8s.cluster.name", name),
        ("cloud.region", region),
        ("k8s.cluster.region", region),
        ("deployment.environment.name", environment),
        ("deployment.environment", environment),
    ];
    let further = attributes.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    Tags::new(own.map(|(key, value)| (key, value.as_str())).into_iter().chain(further), *action == TagAction::Upsert)
}

/// In which order each signal is delivered.
fn orders(queue: &QueueConfig) -> [Order; 3] {
    Signal::ALL.map(|signal| queue.signals[signal.index()].order)
}

/// Makes the admin socket. A gateway without one does its work; commands reach it over the admin port, with a token.
fn admin_socket(directory: &Path, admin: &mut Serving) -> Option<SocketFile> {
    match socket::bind(directory) {
        Ok((listener, file)) => {
            admin.also_at(listener);
            Some(file)
        }
        Err(error) => {
            warn!(directory = %directory.display(), %error, "no admin socket: commands need admin.token_file");
            None
        }
    }
}

/// What the observer looks at.
fn sources(queue: &Queue, deliver: &Arc<Deliver>, stats: &Arc<receive::Stats>, told: &Arc<Told>) -> Sources {
    let (deliver, stats, told) = (Arc::clone(deliver), Arc::clone(stats), Arc::clone(told));
    let (snapshots, recounts) = (queue.clone(), queue.clone());
    Sources {
        doors: Box::new(move || stats.snapshot()),
        queue: Box::new(move || snapshots.snapshot()),
        deliver: Box::new(move || deliver.snapshot()),
        reload: Box::new(move || told.get()),
        recount: Box::new(move || {
            let queue = recounts.clone();
            Box::pin(async move { queue.recount().await.map_err(|error| error.to_string()) })
        }),
    }
}
