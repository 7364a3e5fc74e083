//! Scenario: doors behind TLS: clients with and without certificates, of other versions, that speak plain text or nothing;
//! certificates that rotate.
//! Guarantee: only those get in who should, the others cost their own connection, and a rotation interrupts nobody.

use rustls::version::{TLS12, TLS13};
use spillway::batch::{Encoding, Signal};
use spillway::config::{DoorTls, ReceiverConfig, TlsVersion};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::support::gateway::config;
use crate::support::samples::request;
use crate::support::tls::{Authority, der, shown};
use crate::support::{Gateway, eventually, grpc, http};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

/// The defaults, with this TLS at both doors.
fn with_tls(tls: &DoorTls) -> ReceiverConfig {
    let mut config = config();
    config.grpc.as_mut().unwrap().tls = Some(tls.clone());
    config.http.as_mut().unwrap().tls = Some(tls.clone());
    config
}

/// Exports one item by gRPC over this TLS connection, and whether that was answered OK.
async fn exports(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static) -> bool {
    let body = request(Signal::Logs, 1, 0);
    grpc::Client::over(stream)
        .await
        .export(Signal::Logs, Encoding::Gzip, &crate::support::samples::encoded(Encoding::Gzip, &body))
        .await
        .is_full_success()
}

/// Clients of both protocols at both doors, in both versions of TLS.
/// Guarantees that they are served, h2 or HTTP/1.1 as they agree on.
#[tokio::test]
async fn both_doors_speak_tls() {
    let authority = Authority::new();
    let gateway = Gateway::start_with(with_tls(&authority.door())).await;
    for version in [&TLS12, &TLS13] {
        for door in [gateway.grpc, gateway.http] {
            let stream = authority.connect(door, &["h2", "http/1.1"], None, &[version]).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            if door == gateway.grpc {
                assert!(exports(stream).await);
            }
        }
        let stream = authority.connect(gateway.http, &["http/1.1"], None, &[version]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let answer = http::Client::over(stream).post("/v1/logs", &[PROTOBUF], &request(Signal::Logs, 1, 0)).await;
        assert_eq!(answer.status, 200);
        // Without ALPN too.
        let stream = authority.connect(gateway.http, &[], None, &[version]).await.unwrap();
        assert_eq!(
            http::Client::over(stream).post("/v1/logs", &[PROTOBUF], &request(Signal::Logs, 1, 0)).await.status,
            200
        );
    }
    for _ in 0..6 {
        gateway.stored(Signal::Logs).await;
    }
}

/// Doors that want certificates, and clients with one of theirs, with a stranger's, with none.
/// Guarantees that only the first gets a word in, and that the others are counted.
#[tokio::test]
async fn with_a_client_ca_only_its_clients_come_in() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let gateway = Gateway::start_with(with_tls(&authority.mutual())).await;
    let ours = authority.issue();
    for version in [&TLS12, &TLS13] {
        assert!(exports(authority.connect(gateway.grpc, &["h2"], Some(&ours), &[version]).await.unwrap()).await);
        gateway.stored(Signal::Logs).await;
    }
    for papers in [None, Some(stranger.issue())] {
        // In TLS 1.3 the client is through before the server has looked at its certificate.
        if let Ok(mut stream) = authority.connect(gateway.http, &["http/1.1"], papers.as_ref(), &[&TLS13]).await {
            assert!(stream.read(&mut [0]).await.is_err(), "no byte but an alert");
        }
    }
    eventually("both are counted", || gateway.turned_away("http", "handshake") == 2).await;
    assert!(gateway.stored_nothing().await);
}

/// A door that speaks TLS 1.3 alone.
/// Guarantees that an older client is refused, and a new one served.
#[tokio::test]
async fn an_older_version_than_the_oldest_is_refused() {
    let authority = Authority::new();
    let door = DoorTls { min_version: TlsVersion::V13, ..authority.door() };
    let gateway = Gateway::start_with(with_tls(&door)).await;
    assert!(authority.connect(gateway.grpc, &["h2"], None, &[&TLS12]).await.is_err());
    assert!(exports(authority.connect(gateway.grpc, &["h2"], None, &[&TLS13]).await.unwrap()).await);
    eventually("it is counted", || gateway.turned_away("grpc", "handshake") == 1).await;
}

/// Clients that speak plain HTTP, that say nothing, and that stop in the middle of a handshake.
/// Guarantees that each ends by itself, is counted, and that a client that comes meanwhile is served at once.
#[tokio::test]
async fn who_shakes_no_hands_is_ended_and_holds_up_nobody() {
    let authority = Authority::new();
    let gateway = Gateway::start_with(with_tls(&authority.door())).await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        let mut half = http::Client::connect(gateway.grpc).await;
        half.send(b"\x16\x03\x01\x02\x00").await;
        silent.push((http::Client::connect(gateway.http).await, half));
    }
    let stream = authority.connect(gateway.grpc, &["h2"], None, &[&TLS13]).await.unwrap();
    assert!(exports(stream).await);
    assert_eq!(gateway.turned_away("http", "timeout"), 0, "it was served while the others were waited for");

    let mut plain = http::Client::connect(gateway.http).await;
    plain.head("POST", "/v1/logs", &[PROTOBUF]).await;
    assert_eq!(plain.answer().await.status, 400);
    assert!(plain.ended().await);
    let mut plain = TcpStream::connect(gateway.grpc).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let _ = plain.read_to_end(&mut Vec::new()).await;
    eventually("both are counted", || {
        (gateway.turned_away("http", "plaintext"), gateway.turned_away("grpc", "plaintext")) == (1, 1)
    })
    .await;

    for (one, half) in &mut silent {
        assert!(one.ended().await && half.ended().await);
    }
    eventually("they are counted", || {
        gateway.turned_away("http", "timeout") + gateway.turned_away("grpc", "timeout") == 400
    })
    .await;
    // Those of health checks, which go at once, are no trouble.
    drop(TcpStream::connect(gateway.grpc).await.unwrap());
    eventually("all are gone", || gateway.stats.snapshot().connections <= 1).await;
    assert_eq!(gateway.turned_away("grpc", "handshake"), 0);
}

/// A certificate that rotates, then a broken file, then a good one again.
/// Guarantees that new connections see what is good, that an open one goes on through all of it, and that trouble shows.
#[tokio::test]
async fn a_rotation_interrupts_nobody_and_a_broken_file_changes_nothing() {
    let authority = Authority::new();
    let first = authority.issue();
    authority.install(&first);
    let gateway = Gateway::start_with(with_tls(&authority.door())).await;
    let connect = async || authority.connect(gateway.grpc, &["h2"], None, &[&TLS13]).await.unwrap();
    let open = connect().await;
    assert_eq!(shown(&open), der(&first));
    let open = grpc::Client::over(open).await;
    let goes_on = async || {
        let body = request(Signal::Logs, 1, 0);
        assert!(open.export(Signal::Logs, Encoding::Identity, &body).await.is_full_success());
    };
    goes_on().await;

    let second = authority.issue();
    authority.install(&second);
    // The key may be found before its certificate: such a pair is refused, and the next look finds the whole.
    eventually("the new one is in force", || gateway.files("grpc_tls").0 > 0 && gateway.files("grpc_tls").1).await;
    assert_eq!(shown(&connect().await), der(&second));
    goes_on().await;

    authority.write("door.key", &first.key);
    eventually("the wrong key shows", || !gateway.files("grpc_tls").1 && !gateway.files("http_tls").1).await;
    assert_eq!(shown(&connect().await), der(&second), "what was good is in force");
    authority.write("door.pem", "-----BEGIN NONSENSE-----");
    goes_on().await;

    authority.install(&first);
    eventually("all is well again", || gateway.files("grpc_tls").1).await;
    assert_eq!(shown(&connect().await), der(&first));
    goes_on().await;
}
