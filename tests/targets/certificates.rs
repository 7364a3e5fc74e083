//! Scenario: targets behind TLS, with certificates that are right, wrong, renamed, rotated, and servers that want ours.
//! Guarantee: who is not who the configuration says gets no byte of telemetry; who is gets it, over both protocols.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use spillway::config::{NetworkConfig, Protocol, TlsConfig};
use spillway::otlp::answer::{Answer, Break};
use tempfile::TempDir;

use crate::setup::{BOTH, build, network, plain};
use crate::sink::Sink;

/// An authority with a directory for what it issues.
pub(crate) struct Authority {
    dir: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Authority { dir, issuer }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Issues a certificate for `name`; returns chain and key as PEM.
    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// A server that shows a certificate for `name`, and wants one of ours if `mutual`.
    async fn server(&self, name: &str, mutual: bool) -> Sink {
        Sink::start_tls(self.server_config(name, mutual)).await
    }

    pub(crate) fn server_config(&self, name: &str, mutual: bool) -> rustls::ServerConfig {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let builder = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if mutual {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    }

    /// A target at a URL that trusts this authority.
    pub(crate) fn trusting(&self, protocol: Protocol, url: &str) -> NetworkConfig {
        let tls = TlsConfig { ca_file: Some(self.file("ca.pem")), ..TlsConfig::default() };
        NetworkConfig { tls, ..network(protocol, url) }
    }
}

async fn refused_by_tls(config: NetworkConfig, sink: &Sink) {
    let answer = build(config).send(&plain()).await;
    assert!(matches!(answer, Answer::Broken { at: Break::Tls, .. }), "{answer}");
    assert!(sink.seen().is_empty());
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_for_that_name() {
    for protocol in BOTH {
        let authority = Authority::new();
        let sink = authority.server("127.0.0.1", false).await;
        assert_eq!(build(authority.trusting(protocol, &sink.url())).send(&plain()).await, Answer::accepted());
        assert_eq!(sink.only().version, http::Version::HTTP_2, "agreed on in the handshake");
    }
}

/// Scenario: servers behind TLS that speak HTTP/1.1 and say so, or say nothing of what they speak.
/// Guarantee: OTLP/HTTP goes over HTTP/1.1, on one connection; gRPC, which needs HTTP/2, says that there is none.
#[tokio::test]
async fn without_http_2_it_is_http_1_1() {
    for offered in [&[&b"http/1.1"[..]][..], &[]] {
        let authority = Authority::new();
        let mut config = authority.server_config("127.0.0.1", false);
        config.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
        let sink = Sink::start_tls(config).await;
        let hub = build(NetworkConfig { connections: 1, ..authority.trusting(Protocol::OtlpHttp, &sink.url()) });
        for _ in 0..2 {
            assert_eq!(hub.send(&plain()).await, Answer::accepted());
        }
        assert!(sink.seen().iter().all(|seen| seen.version == http::Version::HTTP_11));
        assert_eq!((sink.seen().len(), sink.connections()), (2, 1));
    }
    let authority = Authority::new();
    let mut config = authority.server_config("127.0.0.1", false);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let sink = Sink::start_tls(config).await;
    refused_by_tls(authority.trusting(Protocol::OtlpGrpc, &sink.url()), &sink).await;
}

#[tokio::test]
async fn a_stranger_and_a_wrong_name_get_nothing() {
    for protocol in BOTH {
        let (authority, stranger) = (Authority::new(), Authority::new());
        let sink = stranger.server("127.0.0.1", false).await;
        refused_by_tls(authority.trusting(protocol, &sink.url()), &sink).await;
        let sink = authority.server("elsewhere.example", false).await;
        refused_by_tls(authority.trusting(protocol, &sink.url()), &sink).await;
    }
}

#[tokio::test]
async fn the_name_and_the_check_can_be_overridden() {
    for protocol in BOTH {
        let (authority, stranger) = (Authority::new(), Authority::new());
        let sink = authority.server("hub.example", false).await;
        let mut renamed = authority.trusting(protocol, &sink.url());
        renamed.tls.server_name_override = Some("hub.example".to_owned());
        assert_eq!(build(renamed).send(&plain()).await, Answer::accepted());
        if protocol == Protocol::OtlpGrpc {
            assert_eq!(sink.only().authority, "hub.example");
        }

        let sink = stranger.server("anything.example", false).await;
        let mut unchecked = network(protocol, &sink.url());
        unchecked.tls.insecure_skip_verify = true;
        assert_eq!(build(unchecked).send(&plain()).await, Answer::accepted());
    }
}

#[tokio::test]
async fn a_server_that_wants_our_certificate() {
    for protocol in BOTH {
        let authority = Authority::new();
        let sink = authority.server("127.0.0.1", true).await;
        let (chain, key) = authority.issue("gateway", ExtendedKeyUsagePurpose::ClientAuth);
        fs::write(authority.file("cert.pem"), chain).unwrap();
        fs::write(authority.file("key.pem"), key).unwrap();
        let mut config = authority.trusting(protocol, &sink.url());
        config.tls.cert_file = Some(authority.file("cert.pem"));
        config.tls.key_file = Some(authority.file("key.pem"));
        assert_eq!(build(config).send(&plain()).await, Answer::accepted());

        let unseen = authority.server("127.0.0.1", true).await;
        let answer = build(authority.trusting(protocol, &unseen.url())).send(&plain()).await;
        // With TLS 1.3 the client has finished its handshake before the server misses the certificate.
        assert!(matches!(answer, Answer::Broken { at: Break::Tls | Break::Reset, .. }), "{answer}");
        assert!(unseen.seen().is_empty());
    }
}

/// Scenario: the authority behind `ca_file` is exchanged, as in a rotation, while the target is in use.
/// Guarantee: new connections follow the file within seconds, without a restart.
#[tokio::test]
async fn rotated_files_are_followed() {
    for protocol in BOTH {
        let (old, new) = (Authority::new(), Authority::new());
        let sink = new.server("127.0.0.1", false).await;
        let config = old.trusting(protocol, &sink.url());
        let ca_file = config.tls.ca_file.clone().unwrap();
        let hub = build(config);
        let answer = hub.send(&plain()).await;
        assert!(matches!(answer, Answer::Broken { at: Break::Tls, .. }), "{answer}");
        fs::copy(new.file("ca.pem"), old.file("next.pem")).unwrap();
        fs::rename(old.file("next.pem"), ca_file).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while hub.send(&plain()).await != Answer::accepted() {
            assert!(Instant::now() < deadline, "the new authority is not trusted");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
