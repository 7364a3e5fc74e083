//! A gateway between clients and two hubs, and a browser on its page.

use std::time::Duration;

use crate::browser::Browser;
use crate::support::client::Load;
use crate::support::gateway::{Gateway, Home};
use crate::support::hub::Hub;

/// Patience of a target that is short enough for a test.
const PACE: &str = "timeout: 2s, retry: {initial_interval: 100ms, max_interval: 1s}, \
                    health: {interval: 500ms, timeout: 2s, unhealthy_after: 2}, \
                    breaker: {open_for: 300ms, max_open_for: 1s, half_open_successes: 2, ramp: 1s}";

/// All of it.
pub(crate) struct Scene {
    pub(crate) browser: Browser,
    pub(crate) gateway: Gateway,
    pub(crate) home: Home,
    pub(crate) hub: Hub,
    pub(crate) backup: Hub,
}

impl Scene {
    /// With the page open; `None`, and said aloud, on a machine without a browser. `home` has further keys.
    pub(crate) async fn open(home: Home) -> Option<Scene> {
        let browser = Browser::start()?;
        let (hub, backup) = (Hub::start().await, Hub::start().await);
        let gateway = home.start(&config(&hub, &backup));
        browser.open(&format!("http://{}/", gateway.admin));
        browser.sees_state("normal").await;
        Some(Scene { browser, gateway, home, hub, backup })
    }

    /// Clients that send requests of that many bytes, six at a time with that pause between.
    pub(crate) fn load(&self, bytes: usize, pause: Duration) -> Load {
        Load::padded(self.gateway.grpc, self.gateway.http, 40, pause, bytes)
    }

    /// That the page made no errors, and that nothing but the gateway was asked for anything.
    pub(crate) fn assert_quiet(&self) {
        assert_eq!(self.browser.complaints(), Vec::<String>::new());
        let gateway = format!("http://{}/", self.gateway.admin);
        let asked = self.browser.asked_for();
        assert!(asked.iter().any(|url| url.ends_with("/events")), "{asked:?}");
        let elsewhere: Vec<_> = asked.iter().filter(|url| !url.starts_with(&gateway)).collect();
        assert!(elsewhere.is_empty(), "{elsewhere:?}");
    }
}

/// That of a scene with these hubs.
pub(crate) fn config(hub: &Hub, backup: &Hub) -> String {
    let target = |hub: &Hub| format!("{{protocol: otlp_http, endpoint: \"{}\", {PACE}}}", hub.url());
    format!(
        "cluster: {{name: edge-eu-west-shop-1}}\n\
         targets: {{hub: {}, backup: {}}}\n\
         chain: {{primary: hub, fallback: [backup], failover_after: 1s, min_stay: 1s}}\n\
         replay: {{rate: 3MiB}}\n",
        target(hub),
        target(backup)
    )
}
