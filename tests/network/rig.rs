//! A gateway in this process between clients and two hubs, each of the hubs behind a proxy that can go wrong.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use spillway::app::App;
use spillway::batch::Signal;
use spillway::config::{Config, Source};
use spillway::queue::ledger::Ledger;
use tempfile::TempDir;

use crate::hub::Hub;
use crate::proxy::Proxy;
use crate::support::wait::LEAST;
use crate::tls::{NAME, Papers};

/// One key pair is enough for all.
static PAPERS: LazyLock<Papers> = LazyLock::new(Papers::new);

/// How the gateway speaks to both hubs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Grpc,
    Http,
    GrpcTls,
    HttpTls,
}

impl Over {
    const fn protocol(self) -> &'static str {
        if matches!(self, Over::Grpc | Over::GrpcTls) { "otlp_grpc" } else { "otlp_http" }
    }

    const fn secure(self) -> bool {
        matches!(self, Over::GrpcTls | Over::HttpTls)
    }
}

/// A hub and the way to it.
pub(crate) struct Place {
    pub(crate) hub: Hub,
    pub(crate) proxy: Proxy,
}

/// How a rig is made; patience is short, so that a scenario takes seconds.
pub(crate) struct Plan {
    pub(crate) over: Over,
    pub(crate) per_request: u64,
    /// Time that each answer of a hub takes.
    pub(crate) pause: Duration,
    /// Whether the primary is to have everything in the end.
    pub(crate) replay_to_primary: bool,
    /// Endpoints other than those of the proxies, by place.
    pub(crate) endpoints: [Option<&'static str>; 2],
    /// The knobs of both targets.
    pub(crate) knobs: &'static str,
    /// The knobs of the chain.
    pub(crate) chain: &'static str,
}

/// Short patience in all things, but for answers: a busy machine is no dead hub.
pub(crate) const HURRIED: &str = "timeout: 3s, retry: {initial_interval: 50ms, max_interval: 500ms}, \
    health: {interval: 400ms, timeout: 2s, unhealthy_after: 2}, \
    breaker: {open_for: 200ms, max_open_for: 500ms, half_open_successes: 2, ramp: 500ms}, \
    concurrency: {max: 8}, throttle_patience: 700ms";

impl Plan {
    pub(crate) fn new(over: Over) -> Plan {
        Plan {
            over,
            per_request: 10,
            pause: Duration::from_millis(20),
            replay_to_primary: true,
            endpoints: [None, None],
            knobs: HURRIED,
            chain: "failover_after: 2s, min_stay: 500ms",
        }
    }

    /// Starts everything.
    pub(crate) async fn raise(&self) -> Rig {
        let home = tempfile::tempdir().unwrap();
        let [primary, fallback] = self.places().await;
        let text = self.config([&primary, &fallback], home.path());
        let own = home.path().display();
        let text = format!(
            "{text}\
             receivers: {{otlp: {{protocols: {{grpc: {{endpoint: 127.0.0.1:0}}, http: {{endpoint: 127.0.0.1:0}}}}}}}}\n\
             queue: {{directory: {own}/queue, memory_limit: 64MiB}}\n\
             admin: {{endpoint: 127.0.0.1:0}}\nshutdown: {{linger: 0, timeout: 10s}}\n"
        );
        let loaded = Config::load(&Source::Text { name: "rig".to_owned(), text }, &[], &|_| None);
        let app = App::start(loaded.unwrap_or_else(|mistakes| panic!("{mistakes:?}")).config).await.unwrap();
        Rig { primary, fallback, app, _home: home }
    }

    /// The two hubs and the ways to them.
    pub(crate) async fn places(&self) -> [Place; 2] {
        let papers = || self.over.secure().then(|| PAPERS.clone());
        let place = async || {
            let hub = Hub::start(self.per_request, self.pause).await;
            let proxy = Proxy::start(hub.address, papers()).await;
            Place { hub, proxy }
        };
        [place().await, place().await]
    }

    /// Targets and chain, for a gateway whose files lie in `home`.
    pub(crate) fn config(&self, places: [&Place; 2], home: &Path) -> String {
        PAPERS.write_authority(&home.join("ca.pem"));
        let tls = match self.over.secure() {
            true => format!("tls: {{ca_file: {}/ca.pem, server_name_override: {NAME}}}, ", home.display()),
            false => String::new(),
        };
        let mut text = "targets:\n".to_owned();
        for (at, name) in ["hub", "direct"].into_iter().enumerate() {
            let url = self.endpoints[at].map_or_else(|| places[at].proxy.url(), str::to_owned);
            let (protocol, knobs, replay) = (self.over.protocol(), self.knobs, self.replay_to_primary);
            let replay = if at == 1 { format!("replay_to_primary: {replay}, ") } else { String::new() };
            let _ = writeln!(text, "  {name}: {{protocol: {protocol}, endpoint: \"{url}\", {tls}{replay}{knobs}}}");
        }
        let _ = writeln!(text, "chain: {{primary: hub, fallback: [direct], {}}}", self.chain);
        text
    }
}

/// See the module.
pub(crate) struct Rig {
    pub(crate) primary: Place,
    pub(crate) fallback: Place,
    pub(crate) app: App,
    _home: TempDir,
}

impl Rig {
    /// The books of one signal.
    pub(crate) fn books(&self, signal: Signal) -> Ledger {
        self.app.queue().snapshot().signals[signal.index()].books
    }

    /// Items that stand in line, all signals together. A batch that three connections in a row broke under is out of it for a minute.
    pub(crate) fn in_line(&self) -> u64 {
        let in_line = |signal| self.books(signal).queued - self.books(signal).parked;
        Signal::ALL.map(in_line).iter().sum()
    }

    /// Traffic moves of that signal's chain to the target at that position.
    pub(crate) fn failovers(&self, signal: Signal) -> u64 {
        let chain = &self.app.deliver().snapshot().chains[signal.index()];
        chain.failovers.iter().filter(|moved| moved.to == "direct").map(|moved| moved.count).sum()
    }

    /// What happened, for the message of a failed scenario.
    pub(crate) fn story(&self) -> String {
        let snapshot = self.app.deliver().snapshot();
        let mut text = String::new();
        for event in &snapshot.timeline {
            let _ = writeln!(text, "  {} {}", event.at_ms % 1_000_000, event.what);
        }
        for target in &snapshot.targets {
            let _ = writeln!(
                text,
                "  {}: {:?} up {} inflight {} of {} wait {:?}, {:?}, last error {:?}",
                target.name,
                target.breaker,
                target.up,
                target.inflight,
                target.concurrency,
                target.retry_delay,
                target.attempts,
                target.last_error
            );
        }
        for signal in Signal::ALL {
            let depth = &self.app.queue().snapshot().signals[signal.index()];
            let active = &snapshot.chains[signal.index()].active;
            let _ = writeln!(
                text,
                "  {signal}: active {active}, leased {}, {:?}; at the hubs {} and {}",
                depth.leased_batches,
                depth.books,
                self.primary.hub.distinct(signal),
                self.fallback.hub.distinct(signal)
            );
        }
        text
    }

    /// Waits for a condition; fails with the story.
    pub(crate) async fn until(&self, what: &str, patience: Duration, met: impl Fn(&Rig) -> bool) -> Duration {
        let (began, patience) = (Instant::now(), patience.max(LEAST));
        while !met(self) {
            assert!(began.elapsed() < patience, "not within {patience:?}: {what}\n{}", self.story());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        began.elapsed()
    }
}
