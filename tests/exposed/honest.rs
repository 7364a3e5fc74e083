//! Clients that mean well, and what the gateway takes of memory meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;
use tokio::task::JoinHandle;

use crate::support::client::{Client, Transport};
use crate::support::gateway::Gateway;
use crate::support::items;
use crate::support::wait::{seconds, until};

/// One client for each transport that sends a small request after the other, each on its turn.
pub(crate) struct Honest {
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
    clients: Vec<JoinHandle<()>>,
}

impl Honest {
    /// Starts them, and waits until both have had an OK.
    pub(crate) async fn start(gateway: &Gateway) -> Honest {
        let (stop, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let client = |transport, address| {
            let (stop, accepted) = (Arc::clone(&stop), Arc::clone(&accepted));
            tokio::spawn(async move {
                let client = Client::patient(transport, address, 60);
                let request = items::request(Signal::Logs, 0..20);
                while !stop.load(Relaxed) {
                    let answer = client.send_body(Signal::Logs, Encoding::Gzip, &request).await;
                    assert!(matches!(answer, Answer::Accepted { .. }), "{transport:?}: {answer:?}");
                    accepted.fetch_add(1, Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        };
        let clients = vec![client(Transport::Grpc, gateway.grpc), client(Transport::Http, gateway.http)];
        let honest = Honest { stop, accepted, clients };
        honest.go_on(4).await;
        honest
    }

    /// Waits until so many more of their requests were answered OK.
    pub(crate) async fn go_on(&self, more: u64) {
        let goal = self.accepted.load(Relaxed) + more;
        until("honest clients go on", seconds(60), || {
            self.accepted.load(Relaxed) >= goal || self.clients.iter().any(JoinHandle::is_finished)
        })
        .await;
    }

    /// Ends them: each of their requests was answered OK.
    pub(crate) async fn stop(self) {
        self.go_on(4).await;
        self.stop.store(true, Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
    }
}

/// Resident memory of the gateway in MiB: now, and at its most.
pub(crate) fn memory(gateway: &Gateway) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid().as_raw_nonzero())).unwrap();
    let mib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_end_matches("kB").trim().parse::<u64>().unwrap() >> 10
    };
    (mib("VmRSS:"), mib("VmHWM:"))
}

/// Asserts that at its most the gateway took no more than so many MiB beyond what it had.
pub(crate) fn assert_bounded(gateway: &Gateway, before: u64, more: u64) {
    let (now, most) = memory(gateway);
    eprintln!("resident: {before} MiB before, {most} at most, {now} now");
    assert!(most <= before + more, "{before} MiB before, {most} at most\n{}", gateway.log());
}
