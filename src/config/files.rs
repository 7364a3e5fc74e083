//! Files that the configuration names are opened once at the start, so that a wrong path is a message and not a surprise.
//!
//! They are read again by whoever uses them; here only their form is looked at, and nothing of them is kept.

use std::fs;
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Config;
use super::mistake::Mistake;
use super::reader::Report;
use super::targets::TargetKind;
use super::tree::Node;
use crate::files::{FileError, Known, pem};

#[derive(Clone, Copy)]
enum Form {
    Certificates,
    Key,
    Token,
    UserAndPassword,
    /// What clients may show, one a line.
    Tokens,
    Users,
}

/// Notes every file that cannot be read, or that does not hold what its key says.
pub(super) fn check(config: &Config, tree: &Node, report: &Report) {
    let look = |path: &[&str], file: Option<&Path>, form: Form| {
        let Some(file) = file else { return true };
        let looked = open(file, form);
        if let Err((why, expected)) = &looked {
            let what = format!("`{}`: the file {} {why}", path.join("."), file.display());
            report.mistake(Mistake::new(tree.place(path), what).expected(*expected));
        }
        looked.is_ok()
    };
    let doors = ["receivers", "otlp"];
    let grpc = config.receivers.grpc.as_ref().and_then(|door| door.tls.as_ref());
    let http = config.receivers.http.as_ref().and_then(|door| door.tls.as_ref());
    for (protocol, tls) in [("grpc", grpc), ("http", http)] {
        let Some(tls) = tls else { continue };
        let at = |key| [doors[0], doors[1], "protocols", protocol, "tls", key];
        let both = look(&at("cert_file"), Some(&tls.cert_file), Form::Certificates)
            & look(&at("key_file"), Some(&tls.key_file), Form::Key);
        if both && let Err(error) = pem::pair(&tls.cert_file, &tls.key_file) {
            let what = format!("`{}`: the file {} {}", at("key_file").join("."), error.file.display(), error.reason);
            let mistake = Mistake::new(tree.place(&at("key_file")), what);
            report.mistake(mistake.expected("the key of the certificate in cert_file"));
        }
        look(&at("client_ca_file"), tls.client_ca_file.as_deref(), Form::Certificates);
    }
    let auth = &config.receivers.auth;
    look(&[doors[0], doors[1], "auth", "bearer_token_file"], auth.bearer_token_file.as_deref(), Form::Tokens);
    look(&[doors[0], doors[1], "auth", "basic_file"], auth.basic_file.as_deref(), Form::Users);
    look(&["admin", "token_file"], config.admin.token_file.as_deref(), Form::Token);
    for target in &config.targets {
        let TargetKind::Network(network) = &target.kind else { continue };
        let at = |section, key| ["targets", target.name.as_str(), section, key];
        look(&at("tls", "ca_file"), network.tls.ca_file.as_deref(), Form::Certificates);
        look(&at("tls", "cert_file"), network.tls.cert_file.as_deref(), Form::Certificates);
        look(&at("tls", "key_file"), network.tls.key_file.as_deref(), Form::Key);
        look(&at("auth", "bearer_token_file"), network.auth.bearer_token_file.as_deref(), Form::Token);
        look(&at("auth", "basic_file"), network.auth.basic_file.as_deref(), Form::UserAndPassword);
    }
}

/// What is wrong with a file, as a clause, and what was expected.
fn open(file: &Path, form: Form) -> Result<(), (String, &'static str)> {
    // A pipe or a device would hang or never end.
    let kind = fs::metadata(file).map_err(|error| (format!("cannot be read: {error}"), "a file that can be read"))?;
    if !kind.is_file() {
        return Err(("cannot be read: it is not a file".to_owned(), "a file that can be read"));
    }
    let bytes = fs::read(file).map_err(|error| (format!("cannot be read: {error}"), "a file that can be read"))?;
    let (holds, expected) = match form {
        Form::Certificates => {
            let mut certificates = CertificateDer::pem_slice_iter(&bytes).peekable();
            let any = certificates.peek().is_some();
            (
                any && certificates.all(|certificate| certificate.is_ok()),
                "certificates as PEM (-----BEGIN CERTIFICATE-----)",
            )
        }
        Form::Key => {
            (PrivateKeyDer::from_pem_slice(&bytes).is_ok(), "a private key as PEM (-----BEGIN PRIVATE KEY-----)")
        }
        Form::Token => (!bytes.trim_ascii().is_empty(), "a token"),
        Form::UserAndPassword => (bytes.contains(&b':'), "user:password"),
        Form::Tokens => return known(Known::tokens(file), "tokens, one a line"),
        Form::Users => return known(Known::users(file), "user:password, one a line"),
    };
    if holds { Ok(()) } else { Err(("does not hold what it should".to_owned(), expected)) }
}

fn known(read: Result<Known, FileError>, expected: &'static str) -> Result<(), (String, &'static str)> {
    read.map(drop).map_err(|error| (format!("is of no use: {}", error.reason), expected))
}
