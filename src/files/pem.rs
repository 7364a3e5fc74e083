//! Certificates and keys from PEM files.

use std::path::Path;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, RootCertStore};

use super::FileError;

/// The certificates of a file, in their order; at least one.
///
/// # Errors
/// [`FileError`] when the file cannot be read, holds none, or one that is damaged.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| trouble(file, &error, "certificate"))?;
    match certificates.is_empty() {
        true => Err(FileError::new(file, "holds no PEM certificate")),
        false => Ok(certificates),
    }
}

/// The certificates of a file as those that others have to descend from.
///
/// # Errors
/// [`FileError`] as for [`certificates`], or when one of them is no authority's.
pub fn roots(file: &Path) -> Result<RootCertStore, FileError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| FileError::new(file, error))?;
    }
    Ok(roots)
}

/// The first private key of a file.
///
/// # Errors
/// [`FileError`] when the file cannot be read, or holds none.
pub fn key(file: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| trouble(file, &error, "private key"))
}

/// A certificate with those above it, and its key.
///
/// # Errors
/// [`FileError`] when one of the files is of no use, or when they do not belong together.
pub fn pair(certificate_file: &Path, key_file: &Path) -> Result<CertifiedKey, FileError> {
    let (chain, key) = (certificates(certificate_file)?, key(key_file)?);
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
        Error::InconsistentKeys(_) => FileError::new(
            key_file,
            format_args!("is not the key of the certificate in {}", certificate_file.display()),
        ),
        error => FileError::new(key_file, error),
    })
}

fn trouble(file: &Path, error: &pem::Error, what: &str) -> FileError {
    match error {
        pem::Error::Io(error) => FileError::new(file, error),
        pem::Error::NoItemsFound => FileError::new(file, format_args!("holds no PEM {what}")),
        other => FileError::new(file, format_args!("not readable as PEM: {other}")),
    }
}
