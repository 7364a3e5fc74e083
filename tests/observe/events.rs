//! Scenario: somebody listens to the events of a gateway whose primary goes down, until the process ends; others want to, too.
//! Guarantee: who may see the status may listen, what changes is told, the seats are bounded, and the stop ends it at once.

use std::net::SocketAddr;

use spillway::deliver::snapshot::BreakerState;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{DEADLINE, Gateway, get};

/// One who listens.
struct Listener(BufReader<TcpStream>);

impl Listener {
    async fn at(address: SocketAddr) -> Listener {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET /events HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).await.unwrap();
        let mut listener = Listener(BufReader::new(stream));
        let head = listener.until("\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        listener
    }

    /// Reads lines up to one that is, or begins so; all of them.
    async fn until(&mut self, mark: &str) -> String {
        let mut read = String::new();
        let lines = async {
            loop {
                let from = read.len();
                assert_ne!(self.0.read_line(&mut read).await.unwrap(), 0, "it ended before {mark:?}: {read}");
                if read[from..].starts_with(mark) {
                    return;
                }
            }
        };
        timeout(DEADLINE, lines).await.expect("not told within the deadline");
        read
    }

    async fn status(&mut self) -> serde_json::Value {
        self.until("event: status").await;
        let line = self.until("data: ").await;
        serde_json::from_str(line.trim_start_matches("data: ")).unwrap()
    }
}

#[tokio::test]
async fn what_changes_is_told_until_the_stop() {
    let gateway = Gateway::running().await;
    let mut listener = Listener::at(gateway.address).await;
    let status = listener.status().await;
    assert_eq!((&status["headline"]["state"], &status["targets"][0]["name"]), (&"normal".into(), &"hub".into()));
    let whole = gateway.get("/status?history=true").await;
    let whole: serde_json::Value = serde_json::from_str(&whole.body).unwrap();
    for field in status.as_object().unwrap().keys() {
        assert!(!whole[field].is_null() || status[field].is_null(), "{field} is not in /status");
    }
    assert!(whole["history"]["seconds"].is_array() && gateway.status().await.get("history").is_none());

    {
        let mut parts = gateway.parts();
        (parts.deliver.targets[0].up, parts.deliver.targets[0].breaker) = (false, BreakerState::Open);
        parts.deliver.chains.iter_mut().for_each(|chain| chain.active = "direct".to_owned());
    }
    let told = async { while listener.status().await["headline"]["state"] != "on_fallback" {} };
    timeout(DEADLINE, told).await.expect("the change is told");

    // As many as there are seats for; the next one is told to come again.
    let mut others = Vec::new();
    while others.len() < 15 {
        others.push(Listener::at(gateway.address).await);
    }
    let refused = get(gateway.address, "/events", &[]).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));

    gateway.stop.send_replace(true);
    listener.until("0\r\n").await; // the last chunk: it ended in order, and was not cut
    timeout(DEADLINE, gateway.serving.ended()).await.unwrap();
}
