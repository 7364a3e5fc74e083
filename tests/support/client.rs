//! Clients that send numbered items to a gateway's door and remember which were answered OK.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use spillway::batch::{Batch, BatchId, Encoding, Key, Signal};
use spillway::config::{Config, Source};
use spillway::otlp::answer::Answer;
use spillway::otlp::inflate::Deflater;
use spillway::target::{Shipment, Target};
use tokio::task::JoinHandle;

use super::items;

/// How clients speak to a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Grpc,
    Http,
}

/// One client.
pub(crate) struct Client {
    door: Arc<dyn Target>,
}

impl Client {
    /// A client of the door at `address`.
    pub(crate) fn of(transport: Transport, address: SocketAddr) -> Client {
        Client::patient(transport, address, 5)
    }

    /// As [`of`](Client::of), one that waits so many seconds for its answers.
    pub(crate) fn patient(transport: Transport, address: SocketAddr, seconds: u64) -> Client {
        let protocol = if transport == Transport::Grpc { "otlp_grpc" } else { "otlp_http" };
        let text = format!(
            "targets: {{door: {{protocol: {protocol}, endpoint: \"http://{address}\", timeout: {seconds}s, accepts: [gzip, zstd]}}}}\nchain: {{primary: door}}\n"
        );
        let source = Source::Text { name: "client".to_owned(), text };
        let config = Config::load(&source, &[], &|_| None).unwrap().config;
        Client { door: spillway::target::build(&config.targets[0], "").unwrap() }
    }

    /// Sends one request as it is.
    pub(crate) async fn send_body(&self, signal: Signal, encoding: Encoding, plain: &[u8]) -> Answer {
        let body = Deflater::new().compress(encoding, plain);
        self.send_encoded(signal, encoding, body, plain.len()).await
    }

    /// Sends a body that is encoded already, and was so long before.
    pub(crate) async fn send_encoded(&self, signal: Signal, encoding: Encoding, body: Vec<u8>, plain: usize) -> Answer {
        let batch = Batch {
            signal,
            encoding,
            items: 1,
            inflated_len: u32::try_from(plain).unwrap(),
            received_at_ms: 0,
            headers: Arc::from([]),
            body: body.into(),
        };
        let id = BatchId { store: 0, epoch: 0, signal, key: Key::new(1) };
        self.door.send(&Shipment { batch, id, along: Vec::new(), replay: false }).await
    }

    /// Sends the items of these numbers in one gzip request; whether it was answered OK.
    pub(crate) async fn send(&self, signal: Signal, ids: Range<u64>) -> bool {
        self.send_padded(signal, ids, 0).await
    }

    /// As [`send`](Client::send), with so many bytes more that do not compress.
    pub(crate) async fn send_padded(&self, signal: Signal, ids: Range<u64>, padding: usize) -> bool {
        let mut request = items::request(signal, ids);
        items::pad(&mut request, padding);
        matches!(self.send_body(signal, Encoding::Gzip, &request).await, Answer::Accepted { .. })
    }
}

/// What one of them sends.
#[derive(Clone, Copy)]
struct Pace {
    per_request: u64,
    pause: Duration,
    padding: usize,
}

/// Clients that send without pause, one for each signal and transport, until told to stop.
pub(crate) struct Load {
    acknowledged: Arc<Mutex<HashMap<Signal, BTreeSet<u64>>>>,
    doors: Arc<Mutex<(SocketAddr, SocketAddr)>>,
    stop: Arc<AtomicBool>,
    senders: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts it: requests of `per_request` items, `pause` between two of one client.
    pub(crate) fn start(grpc: SocketAddr, http: SocketAddr, per_request: u64, pause: Duration) -> Load {
        Load::padded(grpc, http, per_request, pause, 0)
    }

    /// As [`start`](Load::start), with so many bytes more in each request.
    pub(crate) fn padded(
        grpc: SocketAddr,
        http: SocketAddr,
        per_request: u64,
        pause: Duration,
        padding: usize,
    ) -> Load {
        let pace = Pace { per_request, pause, padding };
        let mut load = Load {
            acknowledged: Arc::default(),
            doors: Arc::new(Mutex::new((grpc, http))),
            stop: Arc::default(),
            senders: Vec::new(),
        };
        for (lane, signal) in Signal::ALL.into_iter().enumerate() {
            for (side, transport) in [Transport::Grpc, Transport::Http].into_iter().enumerate() {
                let first = ((lane * 2 + side) as u64) << 40;
                load.senders.push(load.sender(signal, transport, first, pace));
            }
        }
        load
    }

    fn sender(&self, signal: Signal, transport: Transport, first: u64, pace: Pace) -> JoinHandle<()> {
        let (acknowledged, doors, stop) =
            (Arc::clone(&self.acknowledged), Arc::clone(&self.doors), Arc::clone(&self.stop));
        tokio::spawn(async move {
            let mut next = first;
            let mut client: Option<(SocketAddr, Client)> = None;
            while !stop.load(Relaxed) {
                let (grpc, http) = *doors.lock().unwrap();
                let address = if transport == Transport::Grpc { grpc } else { http };
                if client.as_ref().is_none_or(|(known, _)| *known != address) {
                    client = Some((address, Client::of(transport, address)));
                }
                let ids = next..next + pace.per_request;
                // What was not answered OK is never counted on: the next request has numbers of its own.
                next = ids.end;
                let (_, door) = client.as_ref().unwrap();
                if door.send_padded(signal, ids.clone(), pace.padding).await {
                    acknowledged.lock().unwrap().entry(signal).or_default().extend(ids);
                }
                tokio::time::sleep(pace.pause).await;
            }
        })
    }

    /// Sends to other doors from now on: those of a gateway that was started again.
    pub(crate) fn move_to(&self, grpc: SocketAddr, http: SocketAddr) {
        *self.doors.lock().unwrap() = (grpc, http);
    }

    /// Items answered OK so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.lock().unwrap().values().map(|ids| ids.len() as u64).sum()
    }

    /// Which items were answered OK so far.
    pub(crate) fn so_far(&self) -> HashMap<Signal, BTreeSet<u64>> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// Stops, and tells which items were answered OK.
    pub(crate) async fn stop(self) -> HashMap<Signal, BTreeSet<u64>> {
        self.stop.store(true, Relaxed);
        for sender in self.senders {
            sender.await.unwrap();
        }
        std::mem::take(&mut self.acknowledged.lock().unwrap())
    }
}
