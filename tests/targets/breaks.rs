//! Scenario: no answer comes, for one reason after the other.
//! Guarantee: the step at which it broke is named, the message says what happened to whom, and it ends in time.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use spillway::config::Protocol;
use spillway::otlp::answer::{Answer, Break};
use spillway::target::Target;

use crate::setup::{BOTH, build, network, plain, target};
use crate::sink::{Reply, Sink};

/// Where it broke, and the words, which must contain `words`.
async fn broken(hub: &dyn Target, words: &str) -> Break {
    let start = Instant::now();
    let answer = hub.send(&plain()).await;
    assert!(start.elapsed() < Duration::from_secs(20), "{answer}");
    let Answer::Broken { at, message } = answer else { panic!("{answer}") };
    assert!(message.contains(words), "{message:?} does not say {words:?}");
    at
}

#[tokio::test]
async fn a_refused_port() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for protocol in BOTH {
        let hub = target(protocol, &format!("http://{free}"));
        assert_eq!(broken(&*hub, "Connection refused").await, Break::Connect);
        assert_eq!(hub.round_trip(), None);
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve() {
    for protocol in BOTH {
        let hub = target(protocol, "http://hub.invalid:4317");
        assert_eq!(broken(&*hub, "lookup").await, Break::Resolve);
    }
}

#[tokio::test]
async fn a_silent_server() {
    for protocol in BOTH {
        let sink = Sink::start().await;
        sink.always(Reply::Hang);
        let mut config = network(protocol, &sink.url());
        config.timeout = Duration::from_millis(300);
        assert_eq!(broken(&*build(config), "no answer within 300").await, Break::Timeout);
    }
}

/// Scenario: a port whose queue of connections is full, which is how a black hole looks from here.
/// Guarantee: it ends with the timeout, as a connection that did not come about or an answer that did not come.
#[tokio::test]
async fn a_black_hole() {
    for protocol in BOTH {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || tokio::time::timeout(Duration::from_millis(50), tokio::net::TcpStream::connect(address));
        let mut waiting = Vec::new();
        while let Ok(connection) = connect().await {
            waiting.push(connection.unwrap());
            assert!(waiting.len() < 100, "the queue of the port never fills");
        }
        let mut config = network(protocol, &format!("http://{address}"));
        config.timeout = Duration::from_millis(400);
        let at = broken(&*build(config), "").await;
        assert!(matches!(at, Break::Connect | Break::Timeout), "{at:?}");
    }
}

#[tokio::test]
async fn tls_to_a_plain_port() {
    for protocol in BOTH {
        let sink = Sink::start().await;
        let hub = target(protocol, &sink.url().replace("http:", "https:"));
        assert_eq!(broken(&*hub, "").await, Break::Tls);
    }
}

#[tokio::test]
async fn a_connection_that_is_cut() {
    for protocol in BOTH {
        let sink = Sink::start().await;
        sink.always(Reply::Cut);
        let hub = target(protocol, &sink.url());
        assert_eq!(broken(&*hub, "").await, Break::Reset);
        sink.only();
        sink.always(Reply::accept());
        assert_eq!(hub.send(&plain()).await, Answer::accepted(), "the next one takes a new connection");
    }
    let sink = Sink::start().await;
    sink.always(Reply::CutMidway);
    assert_eq!(broken(&*target(Protocol::OtlpGrpc, &sink.url()), "").await, Break::Reset);
}

#[tokio::test]
async fn an_answer_without_trailers() {
    let sink = Sink::start().await;
    sink.always(Reply::NoTrailers);
    assert_eq!(broken(&*target(Protocol::OtlpGrpc, &sink.url()), "grpc-status").await, Break::Reset);
}

#[tokio::test]
async fn grpc_to_a_server_that_speaks_http_1() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await.unwrap();
    });
    assert_eq!(broken(&*target(Protocol::OtlpGrpc, &url), "").await, Break::Reset);
    server.await.unwrap();
}
