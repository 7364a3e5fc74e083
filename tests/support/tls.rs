//! Certificates: good ones, and one for each way in which a certificate can be no good.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};

/// The name that good papers are for; clients expect it whatever the address (`tls.server_name_override`).
pub(crate) const NAME: &str = "hub.test";

/// What a server shows.
#[derive(Clone)]
pub(crate) struct Papers {
    /// Of an authority that clients trust, for [`NAME`].
    pub(crate) good: Arc<ServerConfig>,
    /// The same, years ago.
    pub(crate) expired: Arc<ServerConfig>,
    /// For another name.
    pub(crate) other_name: Arc<ServerConfig>,
    /// Of another authority.
    pub(crate) stranger: Arc<ServerConfig>,
    authority: Arc<str>,
    issuer: Arc<Authority>,
}

type Authority = CertifiedIssuer<'static, KeyPair>;

impl Papers {
    /// Papers of a new authority.
    pub(crate) fn new() -> Papers {
        let (known, unknown) = (authority("known"), authority("unknown"));
        Papers {
            good: server(&known, NAME, 2100),
            expired: server(&known, NAME, 2020),
            other_name: server(&known, "elsewhere.test", 2100),
            stranger: server(&unknown, NAME, 2100),
            authority: known.pem().into(),
            issuer: Arc::new(known),
        }
    }

    /// The certificate of the authority that clients are to trust, PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Writes it.
    pub(crate) fn write_authority(&self, path: &Path) {
        std::fs::write(path, self.authority()).unwrap();
    }

    /// A client's certificate of the authority and its key, as PEM.
    pub(crate) fn client(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = params(name, 2100).signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// The good papers, for clients with a certificate of one of these authorities alone.
    pub(crate) fn for_clients_of(&self, authorities: &[&Papers]) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        for papers in authorities {
            roots.add(papers.issuer.der().clone()).unwrap();
        }
        let provider = Arc::new(default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        server_for(&self.issuer, NAME, 2100, Some(verifier))
    }
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn server(authority: &Authority, name: &str, until: i32) -> Arc<ServerConfig> {
    server_for(authority, name, until, None)
}

fn server_for(
    authority: &Authority,
    name: &str,
    until: i32,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let certificate = params(name, until).signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = match clients {
        Some(verifier) => config.with_client_cert_verifier(verifier),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

fn params(name: &str, until: i32) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params
}
