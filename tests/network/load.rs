//! Clients that send numbered items, one for each signal and transport, and remember what was sent and when it was answered OK.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use spillway::batch::Signal;
use tokio::task::JoinHandle;

use crate::support::client::{Client, Transport};

/// The numbers of one client begin here times its place: a multiple of any round number of items.
const SHARE: u64 = 1_000_000_000_000;

/// Clients of a load.
const CLIENTS: u64 = 6;

/// What one client did.
#[derive(Debug, Default)]
struct Record {
    /// Past the last number that was sent.
    sent: AtomicU64,
    /// First number of each request that was answered OK, and when.
    acked: Mutex<Vec<(u64, Instant)>>,
}

/// What each client of a load sends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// Items in a request.
    pub(crate) per_request: u64,
    /// Time between two requests.
    pub(crate) pause: Duration,
    /// Bytes more in each request, which do not compress.
    pub(crate) padding: usize,
    /// Which load it is at that hub, so that no two have items of one number.
    pub(crate) load: u64,
}

/// See the module.
pub(crate) struct Load {
    pub(crate) per_request: u64,
    /// The place of its first client.
    place: u64,
    records: Vec<(Signal, Arc<Record>)>,
    stop: Arc<AtomicBool>,
    senders: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts it: requests of `per_request` items, `pause` between two of one client.
    pub(crate) fn start(grpc: SocketAddr, http: SocketAddr, per_request: u64, pause: Duration) -> Load {
        Load::of(grpc, http, Work { per_request, pause, padding: 0, load: 0 })
    }

    /// The same, with all that can be told of it.
    pub(crate) fn of(grpc: SocketAddr, http: SocketAddr, work: Work) -> Load {
        let Work { per_request, pause, padding, load } = work;
        let place = load * CLIENTS;
        let mut load = Load { per_request, place, records: Vec::new(), stop: Arc::default(), senders: Vec::new() };
        for signal in Signal::ALL {
            for (transport, address) in [(Transport::Grpc, grpc), (Transport::Http, http)] {
                let first = (place + load.records.len() as u64) * SHARE;
                let record = Arc::new(Record { sent: AtomicU64::new(first), ..Record::default() });
                load.records.push((signal, Arc::clone(&record)));
                let stop = Arc::clone(&load.stop);
                load.senders.push(tokio::spawn(async move {
                    let client = Client::of(transport, address);
                    let mut next = first;
                    while !stop.load(Relaxed) {
                        let ids = next..next + per_request;
                        next = ids.end;
                        record.sent.store(next, Relaxed);
                        if client.send_padded(signal, ids.clone(), padding).await {
                            record.acked.lock().unwrap().push((ids.start, Instant::now()));
                        }
                        tokio::time::sleep(pause).await;
                    }
                }));
            }
        }
        load
    }

    /// First numbers of that signal's requests that were answered OK, and when.
    pub(crate) fn acked(&self, signal: Signal) -> Vec<(u64, Instant)> {
        let own = self.records.iter().filter(|(of, _)| *of == signal);
        own.flat_map(|(_, record)| record.acked.lock().unwrap().clone()).collect()
    }

    /// The numbers of the items in them.
    pub(crate) fn acked_items(&self, signal: Signal) -> impl Iterator<Item = u64> {
        let per_request = self.per_request;
        self.acked(signal).into_iter().flat_map(move |(first, _)| first..first + per_request)
    }

    /// Whether an item of that signal was ever sent.
    pub(crate) fn sent(&self, signal: Signal, id: u64) -> bool {
        let place = (id / SHARE).checked_sub(self.place).and_then(|place| usize::try_from(place).ok());
        place
            .and_then(|place| self.records.get(place))
            .is_some_and(|(of, record)| *of == signal && id < record.sent.load(Relaxed))
    }

    /// Items of that signal that were sent, answered OK or not.
    pub(crate) fn sent_items(&self, signal: Signal) -> u64 {
        let own = self.records.iter().filter(|(of, _)| *of == signal);
        own.map(|(_, record)| record.sent.load(Relaxed) % SHARE).sum()
    }

    /// Which client sent an item.
    pub(crate) const fn producer(id: u64) -> u64 {
        id / SHARE
    }

    /// Stops sending, and waits for the last answers.
    pub(crate) async fn stop(&mut self) {
        self.stop.store(true, Relaxed);
        for sender in self.senders.drain(..) {
            sender.await.unwrap();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}
