//! Scenario: a snapshot hangs for good, as one that waits for a disk might, and so does the thread of the test's runtime.
//! Guarantee: liveness still answers, from a thread of its own, and says how it is.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;

use spillway::observe::Sources;

use crate::example;
use crate::support::{DEADLINE, Gateway};

#[tokio::test]
async fn liveness_answers_while_everything_else_hangs() {
    let gateway = Gateway::recovering().await;
    let (release, hung) = mpsc::channel::<()>();
    let hung = std::sync::Mutex::new(hung);
    gateway.observer.recovered(Sources {
        queue: Box::new(move || {
            let _ = hung.lock().unwrap().recv();
            example::queue()
        }),
        ..gateway.sources()
    });
    // More than the threads for snapshots; each is left unanswered.
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(gateway.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        stream
    };
    let unanswered: Vec<_> = (0..8).flat_map(|_| ["/metrics", "/readyz", "/status"]).map(ask).collect();
    // Blocking on purpose: nothing of the test's runtime turns meanwhile.
    let mut answer = String::new();
    ask("/livez").read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("alive\n"), "{answer}");
    drop((unanswered, release));
}
