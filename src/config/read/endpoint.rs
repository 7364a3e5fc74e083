//! Endpoints as people write them: URLs, and the collector's `host:port`. Pure functions.

use crate::batch::Signal;
use crate::config::targets::Protocol;

/// Where a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct ParsedEndpoint {
    /// `https`, else `http`.
    pub tls: bool,
    /// Whether the scheme was written.
    pub scheme: bool,
    /// Host, without the brackets of an IPv6 address.
    pub host: String,
    /// Port, if it was written.
    pub port: Option<u16>,
    /// Path without the slash at its end; empty for none.
    path: String,
    query: Option<String>,
}

impl ParsedEndpoint {
    /// Reads `https://host:port/path` or `host:port`, where `insecure` says that the latter means plain text. The error is a
    /// clause that says what is wrong.
    pub(in crate::config) fn parse(text: &str, insecure: bool) -> Result<ParsedEndpoint, &'static str> {
        let text = text.trim();
        let scheme = text.contains("://");
        let full = match scheme {
            true => text.to_owned(),
            false if insecure => format!("http://{text}"),
            false => format!("https://{text}"),
        };
        let uri: http::Uri = full.parse().map_err(|_| "is no URL")?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("has a scheme other than http and https"),
        };
        let authority = uri.authority().ok_or("has no host")?;
        if authority.as_str().contains('@') {
            return Err("holds credentials, which belong in `auth.basic_file`");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match (authority.as_str().rsplit_once(':'), authority.port_u16()) {
            (_, Some(0)) => return Err("has port 0"),
            (_, Some(port)) => Some(port),
            // A colon after the host, but no port that fits.
            (Some((_, tail)), None) if !tail.ends_with(']') => return Err("has a port that is no number up to 65535"),
            _ => None,
        };
        if host.is_empty() {
            return Err("has no host");
        }
        if !scheme && port.is_none() {
            return Err("has no port");
        }
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(ParsedEndpoint { tls, scheme, host, port, path, query: uri.query().map(str::to_owned) })
    }

    /// The protocol that the port stands for (IANA: 4317 for OTLP/gRPC, 4318 for OTLP/HTTP).
    pub(in crate::config) fn protocol(&self) -> Option<Protocol> {
        match self.port {
            Some(4317) => Some(Protocol::OtlpGrpc),
            Some(4318) => Some(Protocol::OtlpHttp),
            _ => None,
        }
    }

    /// Whether there is more than scheme, host and port.
    pub(super) fn has_path(&self) -> bool {
        !self.path.is_empty() || self.query.is_some()
    }

    /// Scheme, host and port, for gRPC.
    pub(super) fn base(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match self.port {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }
    }

    /// The URL for a signal's requests over HTTP below a base endpoint: its path, then `/v1/…` (OTLP exporter specification,
    /// "Endpoint URLs for OTLP/HTTP").
    pub(super) fn below(&self, signal: Signal) -> String {
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{}{}{query}", self.base(), self.path, signal.http_path())
    }

    /// The URL as written for one signal. Without a path it is the root, as the specification has it.
    pub(super) fn exact(&self) -> String {
        let path = if self.path.is_empty() { "/" } else { &self.path };
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{path}{query}", self.base())
    }
}

/// Host and port to listen at, `127.0.0.1:4317` or `[::]:4317`.
pub(in crate::config) fn parse_bind(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = match host.strip_prefix('[') {
        Some(inside) => inside.strip_suffix(']').filter(|host| host.parse::<std::net::Ipv6Addr>().is_ok())?,
        None => host,
    };
    let named = |host: &str| host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
    (!host.is_empty() && (named(host) || text.starts_with('['))).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(text: &str, insecure: bool) -> String {
        ParsedEndpoint::parse(text, insecure).map_or_else(str::to_owned, |endpoint| endpoint.base())
    }

    #[test]
    fn urls_and_the_collectors_spelling_are_read() {
        assert_eq!(base("https://hub.example.com:4317", false), "https://hub.example.com:4317");
        assert_eq!(base("hub:4317", false), "https://hub:4317");
        assert_eq!(base("hub:4317", true), "http://hub:4317");
        assert_eq!(base("http://[::1]:4318/", false), "http://[::1]:4318");
        assert_eq!(base("https://hub", true), "https://hub");
        for (text, says) in [
            ("hub", "has no port"),
            ("ftp://hub:1", "has a scheme other than http and https"),
            ("https://u:p@hub", "holds credentials, which belong in `auth.basic_file`"),
            ("http://hub:99999", "has a port that is no number up to 65535"),
            ("http://hub:0", "has port 0"),
            ("http:// hub", "is no URL"),
        ] {
            assert_eq!(base(text, false), says, "{text}");
        }
    }

    #[test]
    fn signals_have_their_paths_below_the_base() {
        let endpoint = ParsedEndpoint::parse("https://h/otlp/?k=1", false).unwrap();
        assert_eq!(endpoint.below(Signal::Logs), "https://h/otlp/v1/logs?k=1");
        assert_eq!(ParsedEndpoint::parse("http://h:4318/x/y", false).unwrap().exact(), "http://h:4318/x/y");
    }

    #[test]
    fn places_to_listen_at_are_read() {
        assert_eq!(parse_bind("0.0.0.0:4317"), Some(("0.0.0.0".into(), 4317)));
        assert_eq!(parse_bind("[::]:0"), Some(("::".into(), 0)));
        for text in ["4317", "host", "host:", "host:65536", ":4317", "http://h:1", "::1:4317", "[x]:1"] {
            assert_eq!(parse_bind(text), None, "{text}");
        }
    }
}
