//! Scenario: HTTP_PROXY, HTTPS_PROXY and NO_PROXY in the environment; an endpoint as a collector's file spells it, and one of a signal.
//! Guarantee: gRPC goes through a tunnel and plain HTTP to the proxy, by names that the proxy alone can resolve; what NO_PROXY lists is
//! never asked of a proxy; a signal with an endpoint of its own goes there, and the others do not.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use spillway::batch::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::support::client::{Client, Transport};
use crate::support::gateway::Home;
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};

/// A proxy that leads every tunnel to one place. What it was asked for: the first line of each request.
async fn proxy(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = client.read_u8().await else { return };
                    head.push(byte);
                }
                log.lock().unwrap().push(String::from_utf8_lossy(&head).lines().next().unwrap().to_owned());
                let _ = client.write_all(b"HTTP/1.1 200 Go on\r\n\r\n").await;
                let Ok(mut server) = TcpStream::connect(to).await else { return };
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_target_is_reached_its_own_way() {
    let (tunnelled, forwarded, logs) = (Hub::start().await, Hub::start().await, Hub::start().await);
    let (tunnel, asked) = proxy(tunnelled.address()).await;
    let mut home = Home::new();
    home.wrapper = [
        "env",
        "-u",
        "https_proxy",
        "-u",
        "http_proxy",
        "-u",
        "no_proxy",
        &format!("HTTPS_PROXY=http://{tunnel}"),
        &format!("HTTP_PROXY={}", forwarded.url()),
        "NO_PROXY=inside.test",
    ]
    .map(str::to_owned)
    .to_vec();
    let gateway = home.start(&format!(
        "targets:\n  \
           spelled: {{endpoint: hub.test:4317, tls: {{insecure: true}}}}\n  \
           own: {{endpoint: \"http://hub.test:4318\", logs_endpoint: \"{}/v1/logs\"}}\n  \
           inside: {{endpoint: inside.test:4317, tls: {{insecure: true}}, health: {{interval: 500ms}}}}\n\
         chain: {{primary: own, fallback: [inside], signals: {{traces: {{primary: spelled, fallback: []}}}}}}\n",
        logs.url()
    ));
    let client = Client::of(Transport::Grpc, gateway.grpc);
    for signal in Signal::ALL {
        assert!(client.send(signal, 0..10).await);
    }
    until("all of it has arrived", seconds(60), || gateway.books("queued") == 0).await;
    for (hub, signal) in [(&tunnelled, Signal::Traces), (&forwarded, Signal::Metrics), (&logs, Signal::Logs)] {
        assert_eq!((hub.copies(signal).len(), hub.distinct()), (10, 10), "{signal}");
    }
    let tried = || {
        let status: Value = serde_json::from_str(&gateway.get("/status").1).unwrap();
        let mut targets = status["targets"].as_array().unwrap().iter();
        targets.any(|target| target["name"] == "inside" && target["last_error"].is_object())
    };
    until("inside was tried", seconds(120), tried).await;
    let asked = asked.lock().unwrap().clone();
    assert!(!asked.is_empty() && asked.iter().all(|line| line == "CONNECT hub.test:4317 HTTP/1.1"), "{asked:?}");
}
