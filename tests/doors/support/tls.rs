//! An authority, its papers in files, and clients that show them or do not.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use spillway::config::{DoorTls, TlsVersion};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The name that the doors' certificates are for.
const NAME: &str = "doors.test";

/// An authority and a folder for what it issues.
pub(crate) struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
pub(crate) struct Papers {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Authority { folder: tempfile::tempdir().unwrap(), issuer };
        authority.write("ca.pem", &authority.issuer.pem());
        authority.install(&authority.issue());
        authority
    }

    pub(crate) fn issue(&self) -> Papers {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        Papers { certificate: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a file in place of another as a rotation does: whole, under the same name.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.file("next"), text).unwrap();
        std::fs::rename(self.file("next"), self.file(name)).unwrap();
    }

    /// Makes these the papers that the doors show.
    pub(crate) fn install(&self, papers: &Papers) {
        self.write("door.pem", &papers.certificate);
        self.write("door.key", &papers.key);
    }

    /// What a door that shows the installed papers is configured with.
    pub(crate) fn door(&self) -> DoorTls {
        DoorTls {
            cert_file: self.file("door.pem"),
            key_file: self.file("door.key"),
            client_ca_file: None,
            min_version: TlsVersion::default(),
        }
    }

    /// The same, for a door that wants a certificate of ours.
    pub(crate) fn mutual(&self) -> DoorTls {
        DoorTls { client_ca_file: Some(self.file("ca.pem")), ..self.door() }
    }

    /// Connects to a door as a client that trusts this authority and shows `papers`, if any.
    pub(crate) async fn connect(
        &self,
        door: SocketAddr,
        alpn: &[&str],
        papers: Option<&Papers>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_protocol_versions(versions).unwrap().with_root_certificates(roots);
        let mut config = match papers {
            None => config.with_no_client_auth(),
            Some(Papers { certificate, key }) => {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                config.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(door).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(NAME).unwrap(), stream).await
    }
}

/// The certificate that the other end showed.
pub(crate) fn shown(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// A PEM certificate as it is shown.
pub(crate) fn der(papers: &Papers) -> Vec<u8> {
    CertificateDer::from_pem_slice(papers.certificate.as_bytes()).unwrap().to_vec()
}
