//! TLS towards a target: one rustls configuration from files, made anew when one of them changes.
//!
//! Built by hand rather than by tonic and reqwest, so that both transports and the probes verify alike, rotate alike and
//! name the key and the file in their errors. The provider is ring, given explicitly: no process-wide default is needed.

mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};

use self::verify::{Peer, Verifier};
use super::error::BuildError;
use crate::config::TlsConfig;
use crate::files::{FileError, Watched, pem};

/// A client's TLS configuration that follows its files.
pub(super) type Tls = Watched<ClientConfig>;

/// Who may be at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// Whoever calls names the server (`server_name_override` included), and SNI says so too.
    ByCaller,
    /// The library names the server after the URL; the certificate is checked for `server_name_override` instead.
    ByUrl,
}

/// Reads the files that `config` names. `alpn` lists the protocols to offer, the preferred one first.
pub(super) fn build(
    target: &str,
    config: &TlsConfig,
    naming: Naming,
    alpn: &'static [&'static [u8]],
) -> Result<Tls, BuildError> {
    if config.insecure_skip_verify {
        tracing::warn!(target_name = target, "tls.insecure_skip_verify is on: anyone may read and forge this traffic");
    }
    let files = [&config.ca_file, &config.cert_file, &config.key_file].into_iter().flatten().cloned().collect();
    let reader = Reader { target: target.to_owned(), config: config.clone(), naming };
    Watched::new(files, move || {
        let mut tls = reader.read()?;
        tls.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(tls)
    })
}

/// A configuration that trusts nobody, for clients that speak plain HTTP alone: libraries ask for one all the same.
pub(super) fn without_roots() -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}

/// The name to expect in the server's certificate and to send as SNI.
pub(super) fn server_name(target: &str, config: &TlsConfig, host: &str) -> Result<ServerName<'static>, BuildError> {
    let (key, name) = match &config.server_name_override {
        Some(name) => ("tls.server_name_override", name.as_str()),
        None => ("endpoint", host),
    };
    ServerName::try_from(name.to_owned())
        .map_err(|_| BuildError::value(target, key, format!("{name:?} is no name that a certificate could have")))
}

struct Reader {
    target: String,
    config: TlsConfig,
    naming: Naming,
}

impl Reader {
    fn read(&self) -> Result<ClientConfig, BuildError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3");
        let builder = if self.config.insecure_skip_verify {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Verifier::new(provider, Peer::Anyone)))
        } else {
            let roots = WebPkiServerVerifier::builder_with_provider(Arc::new(self.roots()?), Arc::clone(&provider));
            let roots = roots
                .build()
                .map_err(|error| self.wrong("ca_file", self.config.ca_file.as_deref(), error.to_string()))?;
            match (&self.config.server_name_override, self.naming) {
                (Some(_), Naming::ByUrl) => {
                    let name = server_name(&self.target, &self.config, "")?;
                    let peer = Peer::Named(name, roots);
                    builder.dangerous().with_custom_certificate_verifier(Arc::new(Verifier::new(provider, peer)))
                }
                _ => builder.with_webpki_verifier(roots),
            }
        };
        match (&self.config.cert_file, &self.config.key_file) {
            (None, None) => Ok(builder.with_no_client_auth()),
            (Some(cert), Some(key)) => {
                let chain = pem::certificates(cert).map_err(|error| self.no_use("cert_file", error))?;
                let secret = pem::key(key).map_err(|error| self.no_use("key_file", error))?;
                builder
                    .with_client_auth_cert(chain, secret)
                    .map_err(|error| self.wrong("key_file", Some(key), format!("{error} (with {})", cert.display())))
            }
            (Some(cert), None) => Err(self.wrong("cert_file", Some(cert), "key_file is missing beside it")),
            (None, Some(key)) => Err(self.wrong("key_file", Some(key), "cert_file is missing beside it")),
        }
    }

    fn roots(&self) -> Result<RootCertStore, BuildError> {
        if let Some(file) = &self.config.ca_file {
            return pem::roots(file).map_err(|error| self.no_use("ca_file", error));
        }
        let (mut roots, found) = (RootCertStore::empty(), rustls_native_certs::load_native_certs());
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
            let reason = format!("not set, and the system has no root certificates {}", why.join("; "));
            return Err(self.wrong("ca_file", None, reason.trim_end()));
        }
        Ok(roots)
    }

    fn no_use(&self, key: &str, error: FileError) -> BuildError {
        self.wrong(key, Some(&error.file), error.reason)
    }

    fn wrong(&self, key: &str, file: Option<&Path>, reason: impl Into<String>) -> BuildError {
        let key = format!("targets.{}.tls.{key}", self.target);
        BuildError { key, file: file.map(PathBuf::from), reason: reason.into() }
    }
}
