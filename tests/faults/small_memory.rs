//! Scenario: a pod with a limit of 256 MiB, its hub away, and clients that send far more of each signal than it takes. It is killed
//! on top of a backlog of 1 GiB (10 GiB in a release run), opens again under the same limit, is killed once more, and drains while
//! the clients go on.
//! Guarantee: the kernel never ends it for memory, the books balance after each start, and all that was acknowledged arrives.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;
use tokio::task::JoinHandle;

use crate::pod::Pod;
use crate::queues::MIB;
use crate::support::client::{Client, Transport};
use crate::support::gateway::{Gateway, Home};
use crate::support::hub::Hub;
use crate::support::items;
use crate::support::wait::{seconds, until};
use crate::{count, to};

/// Of one request. So many clients have four times of what the doors take in flight; those of a release run ten times.
const REQUEST: usize = 512 << 10;
const CLIENTS: usize = 128;
const MANY_CLIENTS: usize = 320;

#[tokio::test(flavor = "multi_thread")]
async fn a_small_pod_lives_through_an_outage() {
    let Some(pod) = Pod::new() else { return };
    let backlog = count(1, 10) as u64 * 1024 * MIB;
    let mut hub = Hub::start().await;
    hub.forget();
    let config = format!("{}\nreplay: {{rate: 10GiB}}", to(&hub.url()));
    hub.take_away().await;
    let mut home = Home::new();
    home.queue = format!("max_size: {}", 2 * backlog);
    home.wrapper = pod.wrapper();
    let mut gateway = home.start(&config);
    eprintln!("started; {}", pod.usage());
    let load = Load::start(&gateway);
    let refused = Arc::clone(&load.refused);
    for part in [backlog, backlog + 64 * MIB] {
        let queued = || gateway.metric("spillway_queue_bytes", &[]) as u64;
        until("a backlog", seconds(900), || !pod.is_well() || queued() >= part).await;
        assert!(pod.is_well(), "{}", gateway.log());
        eprintln!("{} MiB queued; {}", queued() / MIB, pod.usage());
        gateway.kill();
        gateway = home.start(&config);
        load.move_to(&gateway);
        gateway.assert_balanced();
        eprintln!("started in {:?}; {}", gateway.started_in, pod.usage());
    }
    hub.bring_back().await;
    let half = || gateway.books("queued") < load.acknowledged() / 2;
    until("half of it is drained", seconds(600), || !pod.is_well() || half()).await;
    let acknowledged = load.stop().await;
    until("all of it is drained", seconds(600), || !pod.is_well() || gateway.books("queued") == 0).await;
    assert!(pod.is_well(), "{}", gateway.log());
    eprintln!(
        "drained; {}; {} requests taken, {} refused",
        pod.usage(),
        acknowledged.values().map(BTreeSet::len).sum::<usize>(),
        refused.load(Relaxed)
    );
    gateway.assert_balanced();
    assert_eq!(hub.missing(&acknowledged), []);
}

/// Clients that send without pause, each the next when the last was answered.
struct Load {
    acknowledged: Arc<Mutex<HashMap<Signal, BTreeSet<u64>>>>,
    refused: Arc<AtomicU64>,
    door: Arc<Mutex<Arc<Client>>>,
    over: Arc<AtomicBool>,
    senders: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(gateway: &Gateway) -> Load {
        let door = Arc::new(Mutex::new(Arc::new(Client::of(Transport::Grpc, gateway.grpc))));
        let (acknowledged, over) = (Arc::<Mutex<HashMap<_, BTreeSet<_>>>>::default(), Arc::<AtomicBool>::default());
        let refused = Arc::<AtomicU64>::default();
        let next = Arc::new(AtomicU64::new(1));
        let mut padding = Vec::new();
        items::pad(&mut padding, REQUEST);
        let padding = Arc::new(padding);
        let sender = |_| {
            let (acknowledged, door, over) = (Arc::clone(&acknowledged), Arc::clone(&door), Arc::clone(&over));
            let (next, refused, padding) = (Arc::clone(&next), Arc::clone(&refused), Arc::clone(&padding));
            tokio::spawn(async move {
                while !over.load(Relaxed) {
                    let id = next.fetch_add(1, Relaxed);
                    let signal = Signal::ALL[id as usize % 3];
                    let mut request = items::request(signal, id..id + 1);
                    request.extend_from_slice(&padding);
                    let door = Arc::clone(&door.lock().unwrap());
                    match door.send_body(signal, Encoding::Identity, &request).await {
                        Answer::Accepted { .. } => {
                            acknowledged.lock().unwrap().entry(signal).or_default().insert(id);
                        }
                        _ => {
                            refused.fetch_add(1, Relaxed);
                            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                        }
                    }
                }
            })
        };
        let senders = (0..count(CLIENTS, MANY_CLIENTS)).map(sender).collect();
        Load { acknowledged, refused, door, over, senders }
    }

    fn move_to(&self, gateway: &Gateway) {
        *self.door.lock().unwrap() = Arc::new(Client::of(Transport::Grpc, gateway.grpc));
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged.lock().unwrap().values().map(|ids| ids.len() as u64).sum()
    }

    async fn stop(self) -> HashMap<Signal, BTreeSet<u64>> {
        self.over.store(true, Relaxed);
        for sender in self.senders {
            sender.await.unwrap();
        }
        std::mem::take(&mut self.acknowledged.lock().unwrap())
    }
}
