//! TLS as the proxy's end of a connection speaks it: well, with papers that are no good, or not at all.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Fault;
use crate::tls::Papers;

/// A ServerHello of TLS 1.1 (RFC 4346, 7.4.1.3): version 3.2, 32 bytes of randomness, no session, AES-128-CBC, no compression.
fn hello_of_tls_1_1() -> Vec<u8> {
    let mut hello = vec![0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend_from_slice(&[7; 32]);
    hello.extend_from_slice(&[0, 0, 0x2f, 0]);
    hello
}

/// Shakes hands as the fault says. `None` where no connection comes of it.
pub(super) async fn shake(mut stream: TcpStream, papers: &Papers, fault: Fault) -> Option<TlsStream<TcpStream>> {
    let config = match fault {
        Fault::Expired => &papers.expired,
        Fault::WrongName => &papers.other_name,
        Fault::Stranger => &papers.stranger,
        Fault::Garbage => {
            stream.write_all(&[0x5a; 512]).await.ok()?;
            return wait(stream).await;
        }
        Fault::OldTls => {
            stream.write_all(&hello_of_tls_1_1()).await.ok()?;
            return wait(stream).await;
        }
        Fault::EndlessHandshake => {
            // The head of a record, and then its content, a byte at a time.
            stream.write_all(&[0x16, 3, 3, 0x3f, 0xff, 2, 0, 0x3f, 0xf0]).await.ok()?;
            loop {
                sleep(Duration::from_millis(100)).await;
                stream.write_u8(0).await.ok()?;
            }
        }
        _ => &papers.good,
    };
    TlsAcceptor::from(config.clone()).accept(stream).await.ok()
}

/// Until the other side gives up.
async fn wait(mut stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    while stream.read(&mut [0; 1024]).await.ok()? > 0 {}
    None
}
