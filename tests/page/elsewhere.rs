//! Scenario: the page is opened from another address than the machine's own, of a gateway without a token and of one with one.
//! Guarantee: it loads and shows nothing of the gateway; it says what is missing, and with the token shows everything.

use std::net::UdpSocket;

use crate::browser::Browser;
use crate::skip;
use crate::support::gateway::Home;

/// An address of this machine that is not loopback: connections to it come from it.
fn outside() -> Option<std::net::IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

#[tokio::test(flavor = "multi_thread")]
async fn from_elsewhere_the_token_is_asked_for() {
    let Some(page) = Browser::start() else { return };
    let Some(ip) = outside() else { return skip::aloud("this machine has no address but loopback") };
    let mut home = Home::new();
    home.address = "0.0.0.0:0".to_owned();
    let target = "targets: {hub: {protocol: otlp_http, endpoint: \"http://127.0.0.1:9\"}}\n";
    let gateway = home.start(target);
    page.open(&format!("http://{ip}:{}/", gateway.admin.port()));
    page.sees(
        "there is no token to show",
        "return (document.querySelector('.notice')?.innerText ?? '').includes('own machine only')",
    )
    .await;
    drop(gateway);

    home.guard("open-sesame");
    let gateway = home.start(target);
    page.open(&format!("http://{ip}:{}/", gateway.admin.port()));
    page.sees(
        "the token is asked for",
        "return (document.querySelector('.notice')?.innerText ?? '').includes('has the token')",
    )
    .await;
    assert_eq!(page.count("[data-state]"), 0, "nothing is shown");
    page.click(".notice button");
    page.press("open-sesame\u{e007}");
    page.sees("everything is shown", "return document.querySelector('[data-target=hub]') !== null").await;
}
