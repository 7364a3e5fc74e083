//! TLS at a door: handshakes that cost their own connection alone, with certificates that follow their files.
//!
//! A new certificate holds for connections that come then; those that are open go on. Which clients a new `client_ca_file`
//! lets in is asked at the handshake, and resumption does not outlive a change of the files: a new configuration
//! remembers no session.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::wire::Wire;
use crate::config::{DoorTls, TlsVersion};
use crate::files::{FileError, Watched, pem};

/// How long a handshake may take, from the connection's first moment; that of collectors and of Go's servers.
const PATIENCE: Duration = Duration::from_secs(10);

/// Handshakes of a door at the same time. One holds some ten KiB and a fraction of a millisecond of a processor; who
/// comes then waits within [`PATIENCE`]. A connection that says nothing takes none of them.
const AT_ONCE: usize = 1024;

/// The first byte of a TLS connection: a record of the handshake.
const HANDSHAKE: u8 = 0x16;

/// What a plain HTTP client gets to read.
const PLAINTEXT: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 40\r\n\
    connection: close\r\n\r\nthis port speaks TLS: use https instead\n";

/// TLS of one door.
pub(super) struct Tls {
    pub(super) config: Watched<ServerConfig>,
    turns: Semaphore,
}

/// Why a connection got no further than its handshake.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoHandshake {
    /// It ended before it began, as those of health checks do.
    #[error("the client went away")]
    Gone,
    /// It speaks something else.
    #[error("the client speaks no TLS")]
    Plaintext,
    /// It took too long.
    #[error("the handshake took longer than {} s", PATIENCE.as_secs())]
    Slow,
    /// Client and door found no way: versions, certificates.
    #[error("{0}")]
    Failed(io::Error),
}

impl Tls {
    /// Reads the files that `config` names.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub(super) fn new(config: &DoorTls) -> Result<Tls, FileError> {
        let DoorTls { cert_file, key_file, client_ca_file, min_version: _ } = config;
        let files: Vec<PathBuf> =
            [Some(cert_file), Some(key_file), client_ca_file.as_ref()].into_iter().flatten().cloned().collect();
        let config = config.clone();
        let config = Watched::new(files, move || read(&config))?;
        Ok(Tls { config, turns: Semaphore::new(AT_ONCE) })
    }

    /// Shakes hands with the client at the other end.
    ///
    /// # Errors
    /// [`NoHandshake`]; the connection is ended then.
    pub(super) async fn shake(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, NoHandshake> {
        timeout(PATIENCE, self.begin(stream)).await.unwrap_or(Err(NoHandshake::Slow))
    }

    async fn begin(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, NoHandshake> {
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(1..) if first[0] == HANDSHAKE => {}
            Ok(1..) => {
                let mut wire = Wire::new(stream, PATIENCE);
                let _ = wire.write_all(PLAINTEXT).await;
                let _ = wire.shutdown().await; // which lets the client read it
                return Err(NoHandshake::Plaintext);
            }
            Ok(0) | Err(_) => return Err(NoHandshake::Gone),
        }
        let _turn = self.turns.acquire().await.map_err(|_| NoHandshake::Gone)?;
        TlsAcceptor::from(self.config.current()).accept(stream).await.map_err(NoHandshake::Failed)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

fn read(config: &DoorTls) -> Result<ServerConfig, FileError> {
    let DoorTls { cert_file, key_file, client_ca_file, min_version } = config;
    let provider = Arc::new(ring::default_provider());
    let versions: &[&SupportedProtocolVersion] = match min_version {
        TlsVersion::V12 => &[&TLS13, &TLS12],
        TlsVersion::V13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .expect("ring speaks TLS 1.2 and 1.3");
    let builder = match client_ca_file {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(pem::roots(file)?), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|error| FileError::new(file, error))?)
        }
    };
    let pair = pem::pair(cert_file, key_file)?;
    let mut tls = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    // Both at both doors, as without TLS: who speaks HTTP/1.1 to the gRPC door gets a sentence rather than an alert.
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}
