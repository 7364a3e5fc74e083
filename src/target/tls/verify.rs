//! Two ways of looking at a server's certificate that rustls does not come with.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

/// Who may answer. The handshake itself is always checked.
#[derive(Debug)]
pub(super) enum Peer {
    /// Whoever has a certificate, whatever it says (`insecure_skip_verify`).
    Anyone,
    /// Whom the usual check finds to be of that name, and not of the one that was dialed (`server_name_override` over HTTP).
    Named(ServerName<'static>, Arc<WebPkiServerVerifier>),
}

/// Checks that a server is the [`Peer`].
#[derive(Debug)]
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    peer: Peer,
}

impl Verifier {
    pub(super) const fn new(provider: Arc<CryptoProvider>, peer: Peer) -> Verifier {
        Verifier { provider, peer }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _dialed: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.peer {
            Peer::Anyone => Ok(ServerCertVerified::assertion()),
            Peer::Named(name, usual) => usual.verify_server_cert(end_entity, intermediates, name, ocsp_response, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
