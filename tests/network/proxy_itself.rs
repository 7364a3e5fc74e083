//! Scenario: a client that speaks bytes, TLS or HTTP/2 meets each fault of the proxy.
//! Guarantee: each does what its name says, to connections that stand and to new ones, and is over when it is taken away.

use std::io::ErrorKind::{ConnectionRefused, ConnectionReset};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::proxy::Way::{ToGateway, ToHub};
use crate::proxy::{Fault, Proxy};
use crate::support::wait::{seconds, until};
use crate::tls::{NAME, Papers};

const PATIENCE: Duration = seconds(30);

/// For what must not come: long enough for it to come.
const NEVER: Duration = Duration::from_millis(400);

const GREETING: &[u8] = b"hello from the hub";

/// Greets each connection, and sends back what it gets.
struct Echo {
    got: Arc<Mutex<Vec<u8>>>,
    proxy: Proxy,
    papers: Option<Papers>,
}

impl Echo {
    async fn start(papers: Option<Papers>) -> Echo {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap(), papers.clone()).await;
        let got = Arc::<Mutex<Vec<u8>>>::default();
        let heard = Arc::clone(&got);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let heard = Arc::clone(&heard);
                tokio::spawn(async move {
                    stream.write_all(GREETING).await.unwrap();
                    let mut buffer = [0; 4096];
                    while let Ok(len @ 1..) = stream.read(&mut buffer).await {
                        heard.lock().unwrap().extend_from_slice(&buffer[..len]);
                        if stream.write_all(&buffer[..len]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Echo { got, proxy, papers }
    }

    fn got(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    async fn connect(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect(self.proxy.address()).await
    }

    /// A connection that works.
    async fn well(&self) -> TcpStream {
        let mut stream = self.connect().await.unwrap();
        greeted(&mut stream).await;
        stream.write_all(b"ping").await.unwrap();
        assert_eq!(&read(&mut stream, 4).await, b"ping");
        stream
    }

    /// A handshake with the proxy, which has papers.
    async fn shake(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let authority = self.papers.as_ref().unwrap().authority();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
        connector.connect(ServerName::try_from(NAME).unwrap(), self.connect().await?).await
    }
}

async fn greeted(stream: &mut TcpStream) {
    assert_eq!(read(stream, GREETING.len()).await, GREETING);
}

async fn read(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    timeout(PATIENCE, stream.read_exact(&mut bytes)).await.expect("nothing comes").unwrap();
    bytes
}

/// Nothing comes, and no end either.
async fn silent(stream: &mut TcpStream) {
    assert!(timeout(NEVER, stream.read(&mut [0; 64])).await.is_err(), "it is not silent");
}

async fn reset(stream: &mut TcpStream) {
    let read = timeout(PATIENCE, stream.read(&mut [0; 64])).await.expect("nothing comes");
    assert_eq!(read.unwrap_err().kind(), ConnectionReset);
}

#[tokio::test]
async fn connections_that_are_not_there() {
    let echo = Echo::start(None).await;
    let mut before = echo.well().await;
    echo.proxy.set(Fault::Refused);
    reset(&mut before).await;
    until("the port is closed", PATIENCE, || {
        std::net::TcpStream::connect(echo.proxy.address()).is_err_and(|error| error.kind() == ConnectionRefused)
    })
    .await;
    echo.proxy.set(Fault::Reset);
    until("the port is open", PATIENCE, || std::net::TcpStream::connect(echo.proxy.address()).is_ok()).await;
    reset(&mut echo.connect().await.unwrap()).await;
    echo.proxy.set(Fault::None);
    before = echo.well().await;
    echo.proxy.set(Fault::Reset);
    reset(&mut before).await;
    echo.proxy.set(Fault::Unanswered);
    until("no SYN is answered", PATIENCE, || {
        let refused = std::net::TcpStream::connect_timeout(&echo.proxy.address(), NEVER);
        refused.is_err_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
    })
    .await;
    echo.proxy.set(Fault::None);
    until("it is well", PATIENCE, || std::net::TcpStream::connect_timeout(&echo.proxy.address(), NEVER).is_ok()).await;
    echo.well().await;
}

#[tokio::test]
async fn connections_that_swallow() {
    let echo = Echo::start(None).await;
    for fault in [Fault::BlackHole, Fault::Unanswered] {
        let mut before = echo.well().await;
        let got = echo.got();
        echo.proxy.set(fault);
        sleep(NEVER / 4).await;
        before.write_all(b"anybody there?").await.unwrap();
        silent(&mut before).await;
        assert_eq!(echo.got(), got, "{fault:?}");
        if fault == Fault::BlackHole {
            let mut new = echo.connect().await.unwrap();
            new.write_all(b"anybody there?").await.unwrap();
            silent(&mut new).await;
            assert_eq!(echo.got(), got);
        }
        echo.proxy.set(Fault::None);
        reset(&mut before).await;
    }
}

#[tokio::test]
async fn one_direction_is_dead() {
    let echo = Echo::start(None).await;
    echo.proxy.set(Fault::HalfOpen(ToHub));
    let mut stream = echo.connect().await.unwrap();
    greeted(&mut stream).await;
    stream.write_all(b"lost").await.unwrap();
    silent(&mut stream).await;
    assert_eq!(echo.got(), 0);

    echo.proxy.set(Fault::None);
    reset(&mut stream).await;
    let mut before = echo.well().await;
    let got = echo.got();
    echo.proxy.set(Fault::HalfOpen(ToGateway));
    let mut new = echo.connect().await.unwrap();
    for stream in [&mut before, &mut new] {
        stream.write_all(b"heard").await.unwrap();
    }
    until("the hub hears both", PATIENCE, || echo.got() == got + 10).await;
    silent(&mut before).await;
    silent(&mut new).await;
}

#[tokio::test]
async fn an_end_that_is_none() {
    let echo = Echo::start(None).await;
    let mut before = echo.well().await;
    let got = echo.got();
    echo.proxy.set(Fault::SlowClose);
    let mut new = echo.connect().await.unwrap();
    for stream in [&mut before, &mut new] {
        assert_eq!(timeout(PATIENCE, stream.read(&mut [0; 64])).await.expect("no end").unwrap(), 0);
        for _ in 0..4 {
            stream.write_all(b"still listening?").await.unwrap();
            sleep(NEVER / 4).await;
        }
        stream.write_all(b"it takes what comes").await.expect("the connection stands");
    }
    assert_eq!(echo.got(), got);
}

#[tokio::test]
async fn slow_lines() {
    let echo = Echo::start(None).await;
    let late = Duration::from_millis(200);
    echo.proxy.set(Fault::Latency(late));
    let began = Instant::now();
    echo.well().await;
    assert!(began.elapsed() >= 3 * late, "a greeting and a round trip took {:?}", began.elapsed());

    let mut stream = echo.well().await;
    echo.proxy.set(Fault::Bandwidth(20_000));
    let began = Instant::now();
    stream.write_all(&[7; 30_000]).await.unwrap();
    assert_eq!(read(&mut stream, 30_000).await, [7; 30_000]);
    assert!(began.elapsed() >= seconds(1), "30 kB came at 20 kB/s in {:?}", began.elapsed());
}

#[tokio::test]
async fn connections_are_cut() {
    let echo = Echo::start(None).await;
    echo.proxy.set(Fault::CutAfter(ToHub, 5));
    let mut stream = echo.connect().await.unwrap();
    greeted(&mut stream).await;
    stream.write_all(b"123456789").await.unwrap();
    until("the hub hears five bytes", PATIENCE, || echo.got() == 5).await;
    let mut rest = Vec::new();
    let end = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("no end");
    assert!(end.unwrap_err().kind() == ConnectionReset && rest.len() <= 5);
    assert_eq!(echo.got(), 5);

    echo.proxy.set(Fault::CutAfter(ToGateway, 3));
    let mut stream = echo.connect().await.unwrap();
    assert_eq!(read(&mut stream, 3).await, GREETING[..3]);
    reset(&mut stream).await;
}

#[tokio::test]
async fn handshakes_that_fail() {
    let echo = Echo::start(Some(Papers::new())).await;
    let mut secured = echo.shake().await.unwrap();
    let mut greeting = [0; GREETING.len()];
    secured.read_exact(&mut greeting).await.unwrap();
    assert_eq!(greeting, GREETING);
    for (fault, why) in [
        (Fault::Expired, "Expired"),
        (Fault::WrongName, "NotValidForName"),
        (Fault::Stranger, "UnknownIssuer"),
        (Fault::Garbage, "InvalidMessage"),
        (Fault::OldTls, "PeerIncompatible"),
    ] {
        echo.proxy.set(fault);
        let error = timeout(PATIENCE, echo.shake()).await.expect("no end").unwrap_err();
        assert!(format!("{error:?}").contains(why), "{fault:?}: {error:?}");
    }
    echo.proxy.set(Fault::EndlessHandshake);
    assert!(timeout(NEVER, echo.shake()).await.is_err(), "it ended");
    echo.proxy.set(Fault::None);
    echo.shake().await.unwrap();
}

#[tokio::test]
async fn storms_over_http_2() {
    let echo = Echo::start(None).await;
    for fault in [Fault::GoAway, Fault::ResetStreams] {
        echo.proxy.set(fault);
        let (mut client, connection) = h2::client::handshake(echo.connect().await.unwrap()).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = http::Request::get("http://hub/").body(()).unwrap();
        let (answer, _) = client.send_request(request, true).unwrap();
        let refused = timeout(PATIENCE, answer).await.expect("no answer").unwrap_err();
        if fault == Fault::ResetStreams {
            assert_eq!((refused.is_reset(), refused.reason()), (true, Some(h2::Reason::REFUSED_STREAM)), "{refused:?}");
            connection.abort();
        } else {
            let ended = timeout(PATIENCE, connection).await.expect("no end").unwrap().unwrap_err();
            assert_eq!((ended.is_go_away(), ended.reason()), (true, Some(h2::Reason::ENHANCE_YOUR_CALM)), "{ended:?}");
        }
    }
}
