//! A small OTLP/HTTP hub inside the process: counts by id what reaches it, and can be taken away like a real one.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::items;
use crate::batch::{Encoding, Signal};
use crate::otlp::inflate::Inflater;

/// Largest request that a sink takes, inflated, in bytes: far above what the demo sends.
const LIMIT: usize = 16 << 20;

/// A hub that can be away.
pub(super) struct Sink {
    address: SocketAddr,
    seen: Arc<Seen>,
    /// Listener and connections; `None` while it is away.
    serving: Option<JoinHandle<()>>,
}

/// What a sink has seen.
#[derive(Default)]
pub(super) struct Seen {
    /// How often each item came.
    copies: Mutex<HashMap<u64, u32>>,
    /// Items in requests marked as replays.
    replayed: crate::tally::Counter,
}

impl Sink {
    /// Listens on a free port of the loopback.
    pub(super) async fn start() -> io::Result<Sink> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Seen::default());
        let serving = Some(tokio::spawn(serve(listener, Arc::clone(&seen))));
        Ok(Sink { address, seen, serving })
    }

    /// Base URL.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has seen so far.
    pub(super) fn seen(&self) -> &Arc<Seen> {
        &self.seen
    }

    /// Closes the port and cuts every connection, as a hub that dies does.
    pub(super) async fn take_away(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    /// Listens again at the same address.
    pub(super) async fn bring_back(&mut self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.serving = Some(tokio::spawn(serve(listener, Arc::clone(&self.seen))));
        Ok(())
    }
}

impl Seen {
    /// How often each item came.
    pub(super) fn copies(&self) -> HashMap<u64, u32> {
        self.copies.lock().expect("no holder of the lock panics").clone()
    }

    /// Distinct items so far.
    pub(super) fn distinct(&self) -> u64 {
        self.copies.lock().expect("no holder of the lock panics").len() as u64
    }

    /// Items in requests marked as replays.
    pub(super) fn replayed(&self) -> u64 {
        self.replayed.get()
    }
}

/// Accepts until aborted; the connections end with it, since the set that owns them is dropped.
async fn serve(listener: TcpListener, seen: Arc<Seen>) {
    let routes = Signal::ALL.into_iter().fold(Router::new(), |router, signal| {
        router.route(signal.http_path(), post(move |state, headers, body| export(signal, state, headers, body)))
    });
    let service = TowerToHyperService::new(routes.layer(DefaultBodyLimit::max(LIMIT)).with_state(seen));
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let service = service.clone();
        connections.spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn export(signal: Signal, State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> Response {
    let encoding = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let ids = Encoding::from_wire(encoding).and_then(|encoding| {
        let mut inflater = Inflater::new();
        let inflated = inflater.inflate(encoding, &body, LIMIT).ok()?;
        items::ids(signal, inflated.bytes)
    });
    let Some(ids) = ids else { return StatusCode::BAD_REQUEST.into_response() };
    if headers.contains_key("spillway-replay") {
        seen.replayed.add(ids.len() as u64);
    }
    let mut copies = seen.copies.lock().expect("no holder of the lock panics");
    for id in ids {
        *copies.entry(id).or_default() += 1;
    }
    ([(header::CONTENT_TYPE, "application/x-protobuf")], "").into_response()
}
