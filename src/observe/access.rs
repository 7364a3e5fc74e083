//! Who may see the status: whoever sits on this machine, or shows the token. And who may command: whoever shows the token.
//!
//! Metrics and probes are open to all; what is here names targets and their errors, shows data, or removes it. Over the admin
//! socket everything is granted: only the user who runs the gateway can open it.

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;

use http::{HeaderMap, header};
use subtle::ConstantTimeEq;

use crate::repeats::Repeats;

/// Whom a request comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Peer {
    /// Another end of a TCP connection.
    Address(IpAddr),
    /// The admin socket.
    Socket,
}

/// What is said to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Come in.
    Granted,
    /// There is a token, and it was not shown.
    TokenMissing,
    /// There is no token to show: only the machine itself may look, and only the socket takes commands.
    LocalOnly,
}

/// The rule, with the file that holds the token.
#[derive(Debug, Clone)]
pub(super) struct Access {
    token_file: Option<PathBuf>,
    unreadable: Arc<Repeats>,
}

impl Access {
    /// `token_file` is read at each request that needs it, so a rotated token holds at once.
    pub(super) fn new(token_file: Option<PathBuf>) -> Access {
        Access { token_file, unreadable: Arc::default() }
    }

    /// Judges a request for the status.
    pub(super) async fn to_look(&self, peer: Peer, headers: &HeaderMap) -> Verdict {
        match peer {
            Peer::Address(address) if is_local(address, headers) => Verdict::Granted,
            peer => self.to_command(peer, headers).await,
        }
    }

    /// Judges a command. That it comes from this machine is not enough: so does what any user or page on it sends.
    pub(super) async fn to_command(&self, peer: Peer, headers: &HeaderMap) -> Verdict {
        if let Peer::Socket = peer {
            return Verdict::Granted;
        }
        let Some(file) = &self.token_file else {
            return Verdict::LocalOnly;
        };
        let token = match tokio::fs::read(file).await {
            Ok(token) => token,
            Err(error) => {
                if let Some(held_back) = self.unreadable.tell() {
                    tracing::warn!(file = %file.display(), %error, held_back, "the admin token cannot be read: nobody is let in by it");
                }
                return Verdict::TokenMissing;
            }
        };
        if shows(headers, token.trim_ascii()) { Verdict::Granted } else { Verdict::TokenMissing }
    }
}

/// Whether a request comes from this machine and means it. A proxy on this machine says for whom it speaks; a page in a
/// browser on this machine that had its name resolved to loopback (DNS rebinding) sends that name as host.
fn is_local(peer: IpAddr, headers: &HeaderMap) -> bool {
    let forwarded = ["forwarded", "x-forwarded-for", "x-real-ip"].iter().any(|name| headers.contains_key(*name));
    peer.to_canonical().is_loopback() && !forwarded && names_an_address(headers)
}

fn names_an_address(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else {
        return true;
    };
    let Ok(host) = host.to_str() else {
        return false;
    };
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => return address.parse::<Ipv6Addr>().is_ok(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// Whether the request carries `Authorization: Bearer` with this token. An empty token opens nothing.
fn shows(headers: &HeaderMap, token: &[u8]) -> bool {
    let shown = headers.get(header::AUTHORIZATION).map(header::HeaderValue::as_bytes).unwrap_or_default();
    let (scheme, shown) = shown.split_at(shown.len().min(b"Bearer ".len()));
    let same = bool::from(shown.trim_ascii().ct_eq(token));
    same && !token.is_empty() && scheme.eq_ignore_ascii_case(b"Bearer ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    async fn verdict(token_file: Option<PathBuf>, peer: &str, pairs: &[(&'static str, &'static str)]) -> Verdict {
        Access::new(token_file).to_look(Peer::Address(peer.parse().unwrap()), &headers(pairs)).await
    }

    /// Scenario: requests from loopback in its spellings, and from elsewhere, without a token configured.
    /// Guarantee: the machine itself sees the status, nobody else does.
    #[tokio::test]
    async fn without_a_token_only_the_machine_itself_may_look() {
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(verdict(None, peer, &[]).await, Verdict::Granted, "{peer}");
        }
        for host in ["localhost:8890", "127.0.0.1:8890", "[::1]:8890", "LOCALHOST"] {
            assert_eq!(verdict(None, "127.0.0.1", &[("host", host)]).await, Verdict::Granted, "{host}");
        }
        for peer in ["10.1.2.3", "::ffff:10.1.2.3", "fe80::1"] {
            assert_eq!(verdict(None, peer, &[("authorization", "Bearer ")]).await, Verdict::LocalOnly, "{peer}");
        }
    }

    /// Scenario: commands from loopback and over the socket, with no token configured and with one.
    /// Guarantee: the socket needs none, everybody else does, and without one there are no commands over TCP.
    #[tokio::test]
    async fn commands_need_the_token_or_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "s3cret").unwrap();
        let near = Peer::Address("127.0.0.1".parse().unwrap());
        let (right, wrong) = ([("authorization", "Bearer s3cret")], [("authorization", "Bearer x")]);
        for (token_file, peer, shown, verdict) in [
            (None, near, &right[..], Verdict::LocalOnly),
            (Some(&file), near, &[], Verdict::TokenMissing),
            (Some(&file), near, &wrong, Verdict::TokenMissing),
            (Some(&file), near, &right, Verdict::Granted),
            (None, Peer::Socket, &[], Verdict::Granted),
            (Some(&file), Peer::Socket, &[], Verdict::Granted),
        ] {
            let access = Access::new(token_file.cloned());
            assert_eq!(access.to_command(peer, &headers(shown)).await, verdict, "{token_file:?} {peer:?} {shown:?}");
        }
    }

    /// Scenario: loopback connections that a proxy or a rebound name made.
    /// Guarantee: they are not taken for the machine itself.
    #[tokio::test]
    async fn a_stranger_behind_loopback_is_a_stranger() {
        for pair in [("x-forwarded-for", "10.1.2.3"), ("forwarded", "for=10.1.2.3"), ("host", "evil.example:8890")] {
            assert_eq!(verdict(None, "127.0.0.1", &[pair]).await, Verdict::LocalOnly, "{pair:?}");
        }
    }

    /// Scenario: a token file, right, wrong, shorter and missing tokens, an emptied file.
    /// Guarantee: only the very token opens, and an empty one never does.
    #[tokio::test]
    async fn from_elsewhere_only_the_token_opens() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "s3cret\n").unwrap();
        let ask =
            async |shown: &'static str| verdict(Some(file.clone()), "10.1.2.3", &[("authorization", shown)]).await;
        assert_eq!(ask("Bearer s3cret").await, Verdict::Granted);
        assert_eq!(ask("bearer s3cret").await, Verdict::Granted);
        for wrong in ["Bearer s3cre", "Bearer s3crets", "Bearer ", "Basic s3cret", "s3cret", ""] {
            assert_eq!(ask(wrong).await, Verdict::TokenMissing, "{wrong}");
        }
        std::fs::write(&file, "\n").unwrap();
        assert_eq!(ask("Bearer ").await, Verdict::TokenMissing);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(ask("Bearer s3cret").await, Verdict::TokenMissing);
    }
}
