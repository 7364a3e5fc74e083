//! The line to a running gateway: its admin socket, or its admin port, where the token is shown.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http::{HeaderValue, Request, header};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::failure::Failure;
use crate::cli::exit::Code;
use crate::observe::socket;

/// Longest silence of a gateway over one request: a recount of a long backlog, on a disk that has other things to do.
const PATIENCE: Duration = Duration::from_secs(300);
/// For a connection to an admin port.
const CONNECT: Duration = Duration::from_secs(10);

/// How a gateway is reached.
pub(in crate::cli) enum Line {
    /// Over its socket, which only the user who runs it can open.
    Socket(PathBuf),
    /// Over its admin port.
    Port {
        /// `host:port`.
        authority: String,
        /// `Bearer` and the token.
        token: Option<HeaderValue>,
    },
}

/// An answer, whole.
pub(super) type Answer = (http::response::Parts, Bytes);

impl Line {
    /// A line to `http://host:port`, with the token that a file holds.
    pub(super) fn to_port(url: &str, token_file: Option<&Path>) -> Result<Line, Failure> {
        let authority = authority(url).ok_or_else(|| {
            Failure::new(Code::Usage, format!("--admin {url} is no address; expected http://host:port"))
        })?;
        let token = token_file.map(|file| {
            let unusable =
                |why: &dyn Display| Failure::new(Code::Usage, format!("--token-file {}: {why}", file.display()));
            let text = std::fs::read_to_string(file).map_err(|error| unusable(&error))?;
            let mut value =
                HeaderValue::try_from(format!("Bearer {}", text.trim())).map_err(|_| unusable(&"this is no token"))?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(Line::Port { authority, token: token.transpose()? })
    }

    /// That somebody answers there at all.
    pub(super) async fn try_out(&self) -> Result<(), Failure> {
        match self {
            Line::Socket(socket) => {
                socket::connect(socket).map(drop).map_err(|error| unreachable_socket(socket, &error))
            }
            Line::Port { authority, .. } => connect(authority).await.map(drop),
        }
    }

    /// Carries one request, on a connection of its own.
    pub(super) async fn carry(&self, mut request: Request<Body>) -> Result<Answer, Failure> {
        match self {
            Line::Socket(socket) => {
                let stream = socket::connect(socket).and_then(UnixStream::from_std);
                let stream = stream.map_err(|error| unreachable_socket(socket, &error))?;
                exchange(stream, request, &socket.display()).await
            }
            Line::Port { authority, token } => {
                let host = HeaderValue::try_from(authority).expect("an address was read from it");
                request.headers_mut().insert(header::HOST, host);
                if let Some(token) = token {
                    request.headers_mut().insert(header::AUTHORIZATION, token.clone());
                }
                exchange(connect(authority).await?, request, authority).await
            }
        }
    }
}

/// Host and port of `http://host:port`, with or without the scheme.
pub(in crate::cli) fn authority(url: &str) -> Option<String> {
    let rest = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let (host, port) = rest.rsplit_once(':')?;
    let plain = !host.is_empty() && !host.contains(['/', '@', '\r', '\n', ' ']);
    (plain && port.parse::<u16>().is_ok()).then(|| rest.to_owned())
}

async fn connect(authority: &str) -> Result<TcpStream, Failure> {
    let silent =
        |why: &dyn Display| Failure::new(Code::InUse, format!("no gateway answers at http://{authority}: {why}"));
    match timeout(CONNECT, TcpStream::connect(authority)).await {
        Ok(connected) => connected.map_err(|error| silent(&error)),
        Err(_) => Err(silent(&format!("no connection within {} s", CONNECT.as_secs()))),
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Body>,
    to: &dyn Display,
) -> Result<Answer, Failure> {
    let gone = |why: &dyn Display| {
        Failure::new(Code::InUse, format!("the gateway behind {to} went away in the middle of a request ({why})"))
    };
    let exchange = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection); // ends with its only request
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        Ok::<_, hyper::Error>((head, body))
    };
    match timeout(PATIENCE, exchange).await {
        Ok(answer) => answer.map_err(|error| gone(&error)),
        Err(_) => Err(gone(&format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

/// Whether there is nobody at a socket, or no socket.
pub(super) fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory)
}

pub(super) fn unreachable_socket(socket: &Path, error: &io::Error) -> Failure {
    let socket = socket.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => Failure::new(
            Code::Directory,
            format!("{socket} is not for this user: run this as the user that runs the gateway"),
        ),
        _ if is_nobody(error) => Failure::new(
            Code::InUse,
            format!("no gateway answers at {socket}: start one, or name the queue with --dir to work on it offline"),
        ),
        _ => Failure::new(Code::InUse, format!("{socket}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_scheme() {
        assert_eq!(authority("http://127.0.0.1:8890/").as_deref(), Some("127.0.0.1:8890"));
        assert_eq!(authority("[::1]:8890").as_deref(), Some("[::1]:8890"));
        for url in ["https://h:1", "h", "h:x", ":1", "http://h:1/x"] {
            assert_eq!(authority(url), None, "{url}");
        }
    }
}
