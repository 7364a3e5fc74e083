//! Scenario: requests from the machine itself and from another address of it, with and without the token.
//! Guarantee: metrics, probes and the page's files are for all; status and events for loopback, or for who shows the token.

use std::net::{SocketAddr, UdpSocket};

use spillway::config::AdminConfig;

use crate::support::{Gateway, get};

/// An address of this machine that is not loopback: connections to it come from it.
fn outside() -> Option<std::net::IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

#[tokio::test]
async fn the_status_is_for_loopback_or_with_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let token_file = dir.path().join("token");
    std::fs::write(&token_file, "open-sesame\n").unwrap();
    for token in [None, Some(token_file)] {
        let refused = if token.is_some() { 401 } else { 403 };
        let config = AdminConfig { endpoint: "0.0.0.0:0".to_owned(), token_file: token.clone() };
        let gateway = Gateway::with(config).await;
        gateway.observer.recovered(gateway.sources());
        let near = SocketAddr::from(([127, 0, 0, 1], gateway.address.port()));
        for path in ["/", "/status", "/metrics", "/livez"] {
            assert_eq!(get(near, path, &[]).await.status, 200, "{path}");
        }
        assert_eq!(get(near, "/nothing", &[]).await.status, 404);
        assert_eq!(get(near, "/status", &[("host", "evil.example")]).await.status, refused, "a rebound name");

        let Some(ip) = outside() else {
            crate::skip::aloud("this machine has no address but loopback");
            continue;
        };
        let far = SocketAddr::new(ip, gateway.address.port());
        for path in ["/", "/page/main.js", "/metrics", "/livez", "/readyz", "/startupz"] {
            assert_eq!(get(far, path, &[]).await.status, 200, "{path}");
        }
        for path in ["/status", "/status?recount=true", "/events"] {
            let reply = get(far, path, &[]).await;
            assert_eq!(reply.status, refused, "{path}");
            assert_eq!(reply.header("www-authenticate"), token.as_ref().map(|_| "Bearer"));
            if token.is_none() || path != "/events" {
                let shown = get(far, path, &[("authorization", "Bearer open-sesame")]).await;
                assert_eq!(shown.status, if token.is_some() { 200 } else { 403 }, "{path}");
            }
            let wrong = get(far, path, &[("authorization", "Bearer open-sesamE")]).await;
            assert_eq!(wrong.status, refused, "{path}");
        }
    }
}
