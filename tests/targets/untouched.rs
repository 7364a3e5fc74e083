//! Scenario: HTTP/2 servers that turn a request away unseen: with the GOAWAY of a connection that ends, or by refusing its stream.
//! Guarantee: such a request is sent again over another connection, within bounds; what may have been seen is not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use spillway::config::{NetworkConfig, Protocol};
use spillway::otlp::answer::{Answer, Break};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::certificates::Authority;
use crate::setup::{BOTH, build, network, plain};
use crate::sink::Sink;

/// How a request is turned away (RFC 9113, 6.4 and 6.8).
#[derive(Debug, Clone, Copy)]
enum Turned {
    /// GOAWAY without an error; the last stream that was looked at is one before the request's.
    Away,
    /// GOAWAY without an error; the request's stream is the last that was looked at, and the connection ends.
    AwayAfterALook,
    /// GOAWAY with an error, INTERNAL_ERROR.
    AwayInTrouble,
    /// RST_STREAM with REFUSED_STREAM.
    Refused,
}

/// A way to a sink whose first connections turn each request away.
struct Doorkeeper {
    sink: Sink,
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Doorkeeper {
    async fn start(turned: Turned, first: usize, tls: Option<rustls::ServerConfig>) -> Doorkeeper {
        let sink = Sink::start().await;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, behind) = (listener.local_addr().unwrap(), sink.address());
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (tls, turned) = (tls.clone(), (connection < first).then_some(turned));
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, turned, behind).await,
                        Some(tls) => serve(tls.accept(stream).await.unwrap(), turned, behind).await,
                    }
                });
            }
        });
        Doorkeeper { sink, address, _serving: serving }
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, turned: Option<Turned>, behind: SocketAddr) {
    let Some(turned) = turned else {
        let mut sink = TcpStream::connect(behind).await.unwrap();
        let _ = copy_bidirectional(&mut stream, &mut sink).await;
        return;
    };
    // A client that turns to another connection may hang up at any time.
    let _ = turn_away(&mut stream, turned).await;
}

/// Reads frames until a request has come, turns it away, and hangs up when the client does.
async fn turn_away(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), turned: Turned) -> std::io::Result<()> {
    const HEADERS: u8 = 1;
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await?;
    stream.write_all(&frame(4, 0, &[])).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).await?;
        if head[3] != HEADERS {
            continue;
        }
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let go_away = |last: u32, code: u32| frame(7, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat());
        let answer = match turned {
            Turned::Away => go_away(id.saturating_sub(2), 0),
            Turned::AwayAfterALook => go_away(id, 0),
            Turned::AwayInTrouble => go_away(id.saturating_sub(2), 2),
            Turned::Refused => frame(3, id, &7_u32.to_be_bytes()),
        };
        stream.write_all(&answer).await?;
        if matches!(turned, Turned::AwayAfterALook) {
            return stream.shutdown().await;
        }
    }
}

fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, 0], &stream.to_be_bytes(), payload].concat()
}

/// What comes of one send to a server whose first connections turn it away so, and how many requests the sink saw.
async fn sent(protocol: Protocol, turned: Turned, first: usize) -> (Answer, usize) {
    // Over plain text OTLP/HTTP is HTTP/1.1, which has nothing of the kind.
    let authority = (protocol == Protocol::OtlpHttp).then(Authority::new);
    let tls = authority.as_ref().map(|authority| authority.server_config("127.0.0.1", false));
    let keeper = Doorkeeper::start(turned, first, tls).await;
    let config = match &authority {
        None => network(protocol, &format!("http://{}", keeper.address)),
        Some(authority) => authority.trusting(protocol, &format!("https://{}", keeper.address)),
    };
    let answer = build(NetworkConfig { timeout: Duration::from_secs(60), ..config }).send(&plain()).await;
    (answer, keeper.sink.seen().len())
}

#[tokio::test]
async fn what_nobody_looked_at_is_sent_again() {
    for protocol in BOTH {
        for turned in [Turned::Away, Turned::Refused] {
            for first in [1, 2] {
                let (answer, seen) = sent(protocol, turned, first).await;
                assert_eq!((&answer, seen), (&Answer::accepted(), 1), "{protocol:?}, {turned:?} by {first}");
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_turns_all_away_is_told_as_broken() {
    for protocol in BOTH {
        for turned in [Turned::Away, Turned::Refused] {
            let (answer, seen) = sent(protocol, turned, usize::MAX).await;
            assert!(matches!(answer, Answer::Broken { at: Break::Reset, .. }), "{protocol:?}, {turned:?}: {answer}");
            assert_eq!(seen, 0);
        }
    }
}

#[tokio::test]
async fn what_may_have_been_seen_is_not_sent_again() {
    for protocol in BOTH {
        for turned in [Turned::AwayAfterALook, Turned::AwayInTrouble] {
            let (answer, seen) = sent(protocol, turned, 1).await;
            assert!(matches!(answer, Answer::Broken { at: Break::Reset, .. }), "{protocol:?}, {turned:?}: {answer}");
            assert_eq!(seen, 0);
        }
    }
}
