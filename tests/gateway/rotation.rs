//! Scenario: under load a hub changes what it wants or where it is: its token, its certificate's authority, the client's
//! certificate, its address.
//! Guarantee: the gateway follows, once its files or its resolver tell, within a minute; no request is refused, each acknowledged
//! item arrives.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::skip;
use crate::support::client::Load;
use crate::support::gateway::{Gateway, Home};
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};
use crate::tls::{NAME, Papers};

/// By when a change has to be in force: a minute, and another for a machine that has other things to do.
const SOON: Duration = seconds(120);

/// A hub alone, with patience short enough for a test.
fn config(protocol: &str, endpoint: &str, more: &str) -> String {
    format!(
        "targets:\n  hub: {{protocol: {protocol}, endpoint: \"{endpoint}\", timeout: 5s, \
         retry: {{initial_interval: 100ms, max_interval: 500ms}}, health: {{interval: 500ms}}, \
         breaker: {{open_for: 300ms, max_open_for: 500ms, ramp: 1s}}, {more}}}\n"
    )
}

fn start_load(gateway: &Gateway) -> Load {
    Load::start(gateway.grpc, gateway.http, 20, Duration::from_millis(25))
}

/// Ends the load; nothing was refused at the doors, and these hubs together have everything.
async fn everything_arrived(gateway: &Gateway, load: Load, hubs: &[&Hub]) {
    let acknowledged = load.stop().await;
    until("everything is settled", SOON, || gateway.books("queued") == 0).await;
    gateway.assert_balanced();
    let nowhere = |(signal, id): &_| !hubs.iter().any(|hub| hub.copies(*signal).contains_key(id));
    let lost: Vec<_> = hubs[0].missing(&acknowledged).into_iter().filter(nowhere).collect();
    assert!(lost.is_empty(), "nowhere: {lost:?}\n{}", gateway.log());
    assert_eq!(gateway.metric("spillway_refused_items_total", &[]), 0.0, "nothing was refused");
    for account in ["dead", "dropped", "rejected"] {
        assert_eq!(gateway.books(account), 0, "{account}");
    }
}

/// Puts a file in place of another as a rotation does: whole, under the same name.
fn replace(file: &Path, text: &str) {
    let next = file.with_extension("next");
    fs::write(&next, text).unwrap();
    fs::rename(next, file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token() {
    for protocol in ["otlp_grpc", "otlp_http"] {
        let (hub, home) = (Hub::start().await, Home::new());
        hub.asks_for("first");
        let token = home.path().join("token");
        fs::write(&token, "first\n").unwrap();
        let auth = format!("auth: {{bearer_token_file: {}}}", token.display());
        let gateway = home.start(&config(protocol, &hub.url(), &auth));
        let load = start_load(&gateway);
        until("the hub gets data", SOON, || hub.distinct() > 500).await;
        hub.asks_for("second");
        until("the old token is refused", SOON, || hub.refused() > 0).await;
        replace(&token, "second\n");
        let before = hub.distinct();
        until("the new token is used", SOON, || hub.distinct() > before + 500).await;
        everything_arrived(&gateway, load, &[&hub]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificates_authority() {
    for protocol in ["otlp_grpc", "otlp_http"] {
        let (hub, home) = (Hub::start().await, Home::new());
        let (first, second) = (Papers::new(), Papers::new());
        let front = Front::start(hub.address(), first.good.clone()).await;
        let authority = home.path().join("ca.pem");
        first.write_authority(&authority);
        let tls = format!("tls: {{ca_file: {}, server_name_override: {NAME}}}", authority.display());
        let gateway = home.start(&config(protocol, &front.url(), &tls));
        let load = start_load(&gateway);
        until("the hub gets data", SOON, || hub.distinct() > 500).await;
        front.show(second.good.clone());
        until("the new certificate is not trusted", SOON, || gateway.get("/status").1.contains("TLS with")).await;
        let next = home.path().join("next.pem");
        second.write_authority(&next);
        replace(&authority, &fs::read_to_string(next).unwrap());
        let before = hub.distinct();
        until("the new authority is trusted", SOON, || hub.distinct() > before + 500).await;
        everything_arrived(&gateway, load, &[&hub]).await;
    }
}

/// The hub takes both certificates: nothing but the files tells that the old one is to be left. They are swapped one after the
/// other, so that for a while they do not fit.
#[tokio::test(flavor = "multi_thread")]
async fn a_clients_certificate() {
    for protocol in ["otlp_grpc", "otlp_http"] {
        let (hub, home) = (Hub::start().await, Home::new());
        let (first, second) = (Papers::new(), Papers::new());
        let front = Front::start(hub.address(), first.for_clients_of(&[&first, &second])).await;
        let [authority, certificate, key] = ["ca.pem", "client.pem", "client.key"].map(|name| home.path().join(name));
        first.write_authority(&authority);
        let (old, new) = (first.client("old"), second.client("new"));
        fs::write(&certificate, &old.0).unwrap();
        fs::write(&key, &old.1).unwrap();
        let tls = format!(
            "tls: {{ca_file: {}, cert_file: {}, key_file: {}, server_name_override: {NAME}}}",
            authority.display(),
            certificate.display(),
            key.display()
        );
        let gateway = home.start(&config(protocol, &front.url(), &tls));
        let load = start_load(&gateway);
        until("the hub gets data", SOON, || hub.distinct() > 500).await;
        assert!(front.shown_by_clients().iter().all(|shown| *shown == der(&old.0)));
        replace(&certificate, &new.0);
        until("the two do not fit", SOON, || gateway.log().contains("changed, but cannot be used")).await;
        let before = hub.distinct();
        until("the old pair goes on", SOON, || hub.distinct() > before + 500).await;
        replace(&key, &new.1);
        until("the new certificate is shown", SOON, || front.shown_by_clients().contains(&der(&new.0))).await;
        front.show(first.for_clients_of(&[&second]));
        let before = hub.distinct();
        until("the hub goes on without the old authority", SOON, || hub.distinct() > before + 500).await;
        everything_arrived(&gateway, load, &[&hub]).await;
    }
}

fn der(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

/// The gateway lives in a mount namespace of its own, where the test writes /etc/hosts. The old hub goes on taking data: nothing
/// but the name tells that it is to be left.
#[tokio::test(flavor = "multi_thread")]
async fn an_address() {
    let may =
        std::process::Command::new("unshare").args(["-m", "mount", "--bind", "/etc/hosts", "/etc/hosts"]).output();
    if !may.is_ok_and(|done| done.status.success()) {
        return skip::aloud("a mount namespace needs root and unshare");
    }
    let old = Hub::start().await;
    // Of its own within 127.0.0.0/8, so that the port is free there.
    let process = (std::process::id() % 250 + 1) as u8;
    let new = Hub::at(SocketAddr::from(([127, process, 77, 1], old.address().port()))).await;
    let mut home = Home::new();
    let hosts = home.path().join("hosts");
    let at = |hub: &Hub| fs::write(&hosts, format!("127.0.0.1 localhost\n{} hub.test\n", hub.address().ip())).unwrap();
    at(&old);
    let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    home.wrapper = ["unshare", "-m", "sh", "-c", script, &hosts.display().to_string()].map(str::to_owned).to_vec();
    let endpoint = format!("http://hub.test:{}", old.address().port());
    let gateway = home.start(&config("otlp_grpc", &endpoint, ""));
    let load = start_load(&gateway);
    until("the old place gets data", SOON, || old.distinct() > 500).await;
    at(&new);
    until("the new place gets data", SOON, || new.distinct() > 500).await;
    // What is on its way may still end; then the old one gets nothing any more.
    let quiet = || {
        let before = old.distinct();
        let at_new = new.distinct();
        (before, at_new)
    };
    let (mut before, mut mark) = quiet();
    until("the old place is left", SOON, || {
        if new.distinct() < mark + 500 {
            return false;
        }
        let left = old.distinct() == before;
        (before, mark) = quiet();
        left
    })
    .await;
    everything_arrived(&gateway, load, &[&old, &new]).await;
}

/// The end of TLS in front of a hub. Whatever it is told to show, it shows on new connections, and ends the others.
struct Front {
    address: SocketAddr,
    shown: Arc<Mutex<Arc<ServerConfig>>>,
    /// What each client showed.
    clients: Arc<Mutex<Vec<Vec<u8>>>>,
    again: tokio::sync::watch::Sender<()>,
    serving: JoinHandle<()>,
}

impl Front {
    async fn start(hub: SocketAddr, config: Arc<ServerConfig>) -> Front {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shown = Arc::new(Mutex::new(config));
        let (again, changed) = tokio::sync::watch::channel(());
        let clients = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let (config, noted) = (Arc::clone(&shown), Arc::clone(&clients));
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (config, mut changed) = (config.lock().unwrap().clone(), changed.clone());
                let noted = Arc::clone(&noted);
                changed.mark_unchanged();
                connections.spawn(async move {
                    let Ok(mut secured) = TlsAcceptor::from(config).accept(stream).await else { return };
                    if let Some([certificate, ..]) = secured.get_ref().1.peer_certificates() {
                        noted.lock().unwrap().push(certificate.to_vec());
                    }
                    let Ok(mut there) = TcpStream::connect(hub).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut secured, &mut there) => {}
                        _ = changed.changed() => {}
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Front { address, shown, clients, again, serving }
    }

    fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    fn shown_by_clients(&self) -> Vec<Vec<u8>> {
        self.clients.lock().unwrap().clone()
    }

    fn show(&self, config: Arc<ServerConfig>) {
        *self.shown.lock().unwrap() = config;
        self.again.send_replace(());
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
