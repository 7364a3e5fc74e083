//! A proxy between gateway and hub that does to connections what networks do to them: one fault at a time, exchanged while it runs.
//!
//! It knows bytes, connections and handshakes. What a hub answers is the hub's business. It lives on an address of its own within
//! 127.0.0.0/8, so that its port stays its own while it is closed.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::tls::Papers;

mod connection;
mod handshake;
mod storm;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    ToHub,
    ToGateway,
}

/// What goes wrong between gateway and hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The port is closed, connections are reset.
    Refused,
    /// A SYN is not answered: the queue of the port is full. What is connected is swallowed.
    Unanswered,
    /// Connections are accepted, and everything on them is swallowed.
    BlackHole,
    /// Every connection is reset as soon as it stands.
    Reset,
    /// One direction is dead.
    HalfOpen(Way),
    /// The server ends each connection at once and then goes on listening on it for ever.
    SlowClose,
    /// Bytes are late, in both directions.
    Latency(Duration),
    /// So many bytes a second, in each direction.
    Bandwidth(usize),
    /// A connection is reset after so many bytes in that direction.
    CutAfter(Way, usize),
    /// The certificate has expired.
    Expired,
    /// It is for another name.
    WrongName,
    /// It is of an authority that nobody knows.
    Stranger,
    /// The handshake is answered with noise.
    Garbage,
    /// The server speaks TLS 1.1 at most.
    OldTls,
    /// The handshake begins and never ends.
    EndlessHandshake,
    /// HTTP/2: each connection is told to go away with its first request.
    GoAway,
    /// HTTP/2: each request is reset.
    ResetStreams,
}

impl Fault {
    /// Whether connections of the time before it end with it.
    fn cuts(self) -> bool {
        !matches!(
            self,
            Fault::Unanswered
                | Fault::BlackHole
                | Fault::HalfOpen(_)
                | Fault::SlowClose
                | Fault::Latency(_)
                | Fault::Bandwidth(_)
                | Fault::CutAfter(..)
        )
    }

    /// Whether bytes may have been lost under it, so that a connection cannot go on afterwards.
    fn swallows(self) -> bool {
        matches!(self, Fault::Unanswered | Fault::BlackHole | Fault::HalfOpen(_))
    }
}

/// See the module. It ends, with its connections, when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    secure: bool,
    fault: watch::Sender<Fault>,
    serving: JoinHandle<()>,
}

impl Proxy {
    /// In front of `hub`; with papers it ends TLS.
    pub(crate) async fn start(hub: SocketAddr, papers: Option<Papers>) -> Proxy {
        let listener = TcpListener::bind((own_address(), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let secure = papers.is_some();
        let (fault, seen) = watch::channel(Fault::None);
        let serving = tokio::spawn(serve(listener, hub, papers, seen));
        Proxy { address, secure, fault, serving }
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base URL.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.address)
    }

    /// Goes wrong in that way from now on.
    pub(crate) fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// 127.1.0.0 and up: one for each proxy of the process.
fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let process = std::process::id() % 250 + 1;
    let [_, _, high, low] = NEXT.fetch_add(1, Relaxed).to_be_bytes();
    Ipv4Addr::new(127, process as u8, high, low.max(1))
}

async fn serve(listener: TcpListener, hub: SocketAddr, papers: Option<Papers>, mut fault: watch::Receiver<Fault>) {
    let address = listener.local_addr().unwrap();
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let now = *fault.borrow_and_update();
        match now {
            Fault::Refused => {
                listener = None;
                if fault.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Fault::Unanswered => {
                drop(listener.take());
                let _full = full(address).await;
                if fault.changed().await.is_err() {
                    return;
                }
                continue;
            }
            _ => {}
        }
        if listener.is_none() {
            listener = Some(listen(address, 1024).await);
        }
        let accepted = tokio::select! {
            accepted = listener.as_ref().unwrap().accept() => accepted,
            changed = fault.changed() => if changed.is_err() { return } else { continue },
        };
        if let Ok((stream, _)) = accepted {
            connections.spawn(connection::run(stream, hub, papers.clone(), fault.clone()));
        }
        while connections.try_join_next().is_some() {}
    }
}

/// The same port again, as soon as the system gives it back.
async fn listen(address: SocketAddr, backlog: u32) -> TcpListener {
    loop {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        if let Ok(listener) = socket.bind(address).and_then(|()| socket.listen(backlog)) {
            return listener;
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// A port whose queue is full: further connections are neither accepted nor refused.
async fn full(address: SocketAddr) -> (TcpListener, Vec<TcpStream>) {
    let listener = listen(address, 1).await;
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) = timeout(Duration::from_millis(30), TcpStream::connect(address)).await {
        waiting.push(stream);
        assert!(waiting.len() < 100, "the queue of the port never fills");
    }
    (listener, waiting)
}
