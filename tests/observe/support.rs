//! A gateway without parts: an admin port that shows the snapshots a scenario sets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use spillway::config::AdminConfig;
use spillway::observe::{Admin, Facts, Observer, Registry, Reload, Serving, Sources};
use spillway::queue::snapshot::Recount;
use spillway::{deliver, queue, receive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::example;

/// For what takes milliseconds: far above them, and short enough for a hang to be a failure.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// What the parts tell.
pub(crate) struct Parts {
    pub(crate) doors: receive::snapshot::Snapshot,
    pub(crate) queue: queue::snapshot::Snapshot,
    pub(crate) deliver: deliver::snapshot::Snapshot,
    pub(crate) recount: Result<[Recount; 3], String>,
}

pub(crate) struct Gateway {
    pub(crate) observer: Observer,
    pub(crate) registry: Registry,
    pub(crate) address: SocketAddr,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) serving: Serving,
    parts: Arc<Mutex<Parts>>,
}

impl Gateway {
    /// An admin port on loopback, of a process that still recovers its queue.
    pub(crate) async fn recovering() -> Gateway {
        Gateway::with(AdminConfig { endpoint: "127.0.0.1:0".to_owned(), token_file: None }).await
    }

    /// The same with the parts at work: hub → direct → disk, nothing happened yet.
    pub(crate) async fn running() -> Gateway {
        let gateway = Gateway::recovering().await;
        gateway.observer.recovered(gateway.sources());
        gateway
    }

    pub(crate) async fn with(config: AdminConfig) -> Gateway {
        let admin = Admin::bind(&config).await.unwrap();
        let address = admin.address();
        let registry = Registry::new();
        let facts = Facts { admin: Some(address), ..Facts::new("spoke-1") };
        let observer = Observer::new(facts, &registry).unwrap();
        let (stop, stopped) = watch::channel(false);
        let serving = admin.serve(observer.clone(), stopped).unwrap();
        let parts = Parts {
            doors: example::doors(),
            queue: example::queue(),
            deliver: example::deliver(),
            recount: Ok([Recount::default(); 3]),
        };
        Gateway { observer, registry, address, stop, serving, parts: Arc::new(Mutex::new(parts)) }
    }

    /// What the parts tell from now on.
    pub(crate) fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap()
    }

    pub(crate) fn sources(&self) -> Sources {
        let (doors, queue, deliver) = (self.parts.clone(), self.parts.clone(), self.parts.clone());
        let recount = self.parts.clone();
        Sources {
            doors: Box::new(move || doors.lock().unwrap().doors.clone()),
            queue: Box::new(move || queue.lock().unwrap().queue.clone()),
            deliver: Box::new(move || deliver.lock().unwrap().deliver.clone()),
            reload: Box::new(Reload::default),
            recount: Box::new(move || {
                let found = recount.lock().unwrap().recount.clone();
                Box::pin(async move { found })
            }),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        get(self.address, path, &[]).await
    }

    pub(crate) async fn status(&self) -> serde_json::Value {
        let reply = self.get("/status").await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
        serde_json::from_str(&reply.body).unwrap()
    }
}

/// An answer over HTTP.
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// One GET on a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut request = format!("GET {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        request.push_str(&format!("host: {address}\r\n"));
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
    let mut reply = String::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_string(&mut reply));
    read.await.expect("no answer within the deadline").unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, head: head.to_owned(), body: body.to_owned() }
}
