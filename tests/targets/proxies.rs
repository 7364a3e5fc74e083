//! Scenario: a target that can be reached through a proxy alone.
//! Guarantee: gRPC and HTTPS go through a tunnel, plain HTTP is handed to the proxy, and its refusals are told as such.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use spillway::config::Protocol;
use spillway::otlp::answer::{Answer, Break};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::setup::{build, network, plain};
use crate::sink::Sink;

/// A proxy that answers CONNECT with that status line and leads every tunnel to one place.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Proxy {
    async fn start(status_line: &'static str, to: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let log = Arc::clone(&log);
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = client.read_u8().await else { return };
                        head.push(byte);
                    }
                    log.lock().unwrap().push(String::from_utf8(head).unwrap());
                    client.write_all(format!("{status_line}\r\nServer: proxy\r\n\r\n").as_bytes()).await.unwrap();
                    if status_line.contains("200") {
                        let mut server = TcpStream::connect(to).await.unwrap();
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Proxy { address, asked, serving }
    }

    fn url(&self) -> String {
        format!("http://me:secret@{}", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[tokio::test]
async fn grpc_goes_through_a_tunnel() {
    let sink = Sink::start().await;
    let proxy = Proxy::start("HTTP/1.1 200 Connection established", sink.address()).await;
    let mut config = network(Protocol::OtlpGrpc, "http://hub.invalid:4317");
    config.proxy_url = Some(proxy.url());
    config.connections = 1;
    assert_eq!(build(config).send(&plain()).await, Answer::accepted());
    assert_eq!(sink.only().authority, "hub.invalid:4317");
    let asked = proxy.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with("CONNECT hub.invalid:4317 HTTP/1.1\r\nHost: hub.invalid:4317\r\n"), "{asked:?}");
    assert!(asked[0].contains("\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n"), "{asked:?}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_quoted() {
    let sink = Sink::start().await;
    let proxy = Proxy::start("HTTP/1.1 407 Proxy Authentication Required", sink.address()).await;
    let mut config = network(Protocol::OtlpGrpc, "http://hub.invalid:4317");
    config.proxy_url = Some(proxy.url());
    let answer = build(config).send(&plain()).await;
    let Answer::Broken { at: Break::Connect, message } = answer else { panic!("{answer}") };
    assert!(message.contains("407 Proxy Authentication Required"), "{message}");
    assert!(!message.contains("secret"), "{message}");
    assert!(sink.seen().is_empty());
}

#[tokio::test]
async fn plain_http_is_handed_to_the_proxy() {
    let sink = Sink::start().await;
    let mut config = network(Protocol::OtlpHttp, "http://hub.invalid:4318");
    config.proxy_url = Some(sink.url());
    assert_eq!(build(config).send(&plain()).await, Answer::accepted());
    let seen = sink.only();
    assert_eq!((seen.authority.as_str(), seen.path.as_str()), ("hub.invalid:4318", "/v1/traces"));
}

#[tokio::test]
async fn https_goes_through_a_tunnel() {
    let sink = Sink::start().await;
    let proxy = Proxy::start("HTTP/1.1 200 OK", sink.address()).await;
    let mut config = network(Protocol::OtlpHttp, "https://hub.invalid");
    config.proxy_url = Some(proxy.url());
    // The sink speaks no TLS, so the handshake inside the tunnel fails; that it was begun there is what matters.
    let answer = build(config).send(&plain()).await;
    assert!(matches!(answer, Answer::Broken { at: Break::Tls, .. }), "{answer}");
    assert!(proxy.asked.lock().unwrap()[0].starts_with("CONNECT hub.invalid:443 HTTP/1.1\r\n"));
}
