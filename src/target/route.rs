//! The way to a target: scheme, host and port of its endpoint, and the proxy in front of it.

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;

use super::error::BuildError;

/// Where a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// The URL, as configured.
    pub(super) uri: Uri,
    /// Whether TLS is spoken there.
    pub(super) secure: bool,
    /// Name or address, IPv6 without brackets.
    pub(super) host: String,
    /// The port; that of the scheme where none is written.
    pub(super) port: u16,
}

impl Endpoint {
    /// Reads an `http://` or `https://` URL; `key` is where it stands in the target's section.
    pub(super) fn parse(target: &str, key: &str, url: &str) -> Result<Endpoint, BuildError> {
        let wrong = |reason: &str| BuildError::value(target, key, format!("{url:?}: {reason}"));
        let uri: Uri = url.parse().map_err(|_| wrong("not a URL"))?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("expected http:// or https://")),
        };
        let host = bare(uri.host().unwrap_or_default());
        if host.is_empty() {
            return Err(wrong("the host is missing"));
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(wrong("credentials do not belong into a URL: use `auth` or `headers`"));
        }
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Endpoint { secure, host, port, uri })
    }

    /// `host:port` as a request line or a log line has it.
    pub(super) fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// Whether it is this machine, which no proxy leads to.
    pub(super) fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// A plain HTTP proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    /// Name or address.
    pub(super) host: String,
    /// Port.
    pub(super) port: u16,
    /// `Proxy-Authorization`, from the user name and password in its URL.
    pub(super) authorization: Option<HeaderValue>,
}

/// The proxy on the way to `endpoint`: `proxy_url`, else what `environment` says; none towards this machine.
///
/// gRPC is tunnelled whether or not it is encrypted, so HTTPS_PROXY decides for both (as in gRPC's own libraries).
pub(super) fn proxy(
    target: &str,
    proxy_url: Option<&str>,
    endpoint: &Endpoint,
    grpc: bool,
    environment: &Matcher,
) -> Result<Option<Proxy>, BuildError> {
    let wrong = |reason: String| BuildError::value(target, "proxy_url", reason);
    if endpoint.is_loopback() {
        return Ok(None);
    }
    let scheme = if endpoint.secure || grpc { "https" } else { "http" };
    let wanted: Uri = format!("{scheme}://{}", endpoint.authority())
        .parse()
        .map_err(|_| BuildError::value(target, "endpoint", "not a URL"))?;
    let (found, origin) = match proxy_url {
        Some(url) => {
            let explicit = Matcher::builder().all(url.to_owned()).build().intercept(&wanted);
            (Some(explicit.ok_or_else(|| wrong("expected http://host:port".to_owned()))?), "proxy_url")
        }
        None => (environment.intercept(&wanted), "the environment"),
    };
    let Some(found) = found else { return Ok(None) };
    match (found.uri().scheme_str(), found.uri().host()) {
        (Some("http"), Some(host)) => Ok(Some(Proxy {
            host: bare(host),
            port: found.uri().port_u16().unwrap_or(80),
            authorization: found.basic_auth().cloned(),
        })),
        (scheme, _) => {
            let scheme = scheme.unwrap_or_default();
            Err(wrong(format!("{origin} names a proxy over {scheme}://, only http:// ones can be used")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(proxy_url: Option<&str>, endpoint: &str, grpc: bool) -> Result<Option<(String, u16)>, String> {
        let environment = Matcher::builder().https("http://tunnel:3128").http("http://forward").no("inside.local");
        let endpoint = Endpoint::parse("hub", "endpoint", endpoint).map_err(|e| e.to_string())?;
        let proxy = proxy("hub", proxy_url, &endpoint, grpc, &environment.build()).map_err(|e| e.to_string())?;
        Ok(proxy.map(|proxy| (proxy.host, proxy.port)))
    }

    /// Scenario: endpoints as people write them.
    /// Guarantee: scheme, host and port are read, and what is no endpoint is named as a mistake.
    #[test]
    fn endpoints() {
        for (url, secure, host, port, authority) in [
            ("http://hub:4317", false, "hub", 4317, "hub:4317"),
            ("https://hub.example.com/v1/traces", true, "hub.example.com", 443, "hub.example.com:443"),
            ("http://[::1]:4317", false, "::1", 4317, "[::1]:4317"),
        ] {
            let endpoint = Endpoint::parse("hub", "endpoint", url).unwrap();
            assert_eq!((endpoint.secure, endpoint.host.as_str(), endpoint.port), (secure, host, port));
            assert_eq!(endpoint.authority(), authority);
        }
        for url in ["hub:4317", "grpc://hub:4317", "http://", "http://me:secret@hub:1", "", "http://a b"] {
            let error = Endpoint::parse("hub", "endpoint", url).unwrap_err().to_string();
            assert!(error.starts_with("targets.hub.endpoint: "), "{error}");
        }
    }

    /// Scenario: proxies from the key and from the environment, names that NO_PROXY lists, this machine.
    /// Guarantee: the key beats the environment, gRPC follows HTTPS_PROXY, loopback is reached directly.
    #[test]
    fn proxies() {
        let tunnel = Ok(Some(("tunnel".to_owned(), 3128)));
        assert_eq!(way(None, "https://hub:4317", true), tunnel);
        assert_eq!(way(None, "http://hub:4317", true), tunnel);
        assert_eq!(way(None, "http://hub:4318", false), Ok(Some(("forward".to_owned(), 80))));
        assert_eq!(way(None, "https://hub.inside.local", false), Ok(None));
        assert_eq!(way(Some("http://other:1"), "https://hub.inside.local", false), Ok(Some(("other".to_owned(), 1))));
        for here in ["http://localhost:4317", "http://127.0.0.9:4317", "https://[::1]:4317"] {
            assert_eq!(way(Some("http://other:1"), here, true), Ok(None));
        }
        for odd in ["socks5://other:1", "https://other:1", "ftp://x"] {
            let error = way(Some(odd), "http://hub:4317", true).unwrap_err();
            assert!(error.starts_with("targets.hub.proxy_url: "), "{error}");
        }
    }
}
