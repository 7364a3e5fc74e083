//! The real binary between clients and two hubs, each of the hubs behind a proxy that can go wrong.

use std::time::{Duration, Instant};

use serde_json::Value;
use spillway::batch::Signal;

use crate::load::{Load, Work};
use crate::rig::{Place, Plan};
use crate::support::gateway::{Gateway, Home};
use crate::support::wait::LEAST;

/// See the module.
pub(crate) struct Live {
    pub(crate) primary: Place,
    pub(crate) fallback: Place,
    pub(crate) gateway: Gateway,
    _home: Home,
}

/// Whether the counts, times and bounds of a release are asked for: on a machine that does nothing else.
pub(crate) fn release() -> bool {
    std::env::var_os("SPILLWAY_TEST_COUNTS").is_some()
}

impl Plan {
    /// Starts the binary and all around it. `queue` holds further keys of that section.
    pub(crate) async fn launch(&self, queue: &str) -> Live {
        let [primary, fallback] = self.places().await;
        let mut home = Home::new();
        home.queue = queue.to_owned();
        let gateway = home.start(&self.config([&primary, &fallback], home.path()));
        Live { primary, fallback, gateway, _home: home }
    }
}

impl Live {
    /// Clients of its doors.
    pub(crate) fn load(&self, work: Work) -> Load {
        Load::of(self.gateway.grpc, self.gateway.http, work)
    }

    /// Its status, as a tree.
    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.gateway.get("/status").1).unwrap()
    }

    /// Which target has that signal's traffic.
    pub(crate) fn active(&self, signal: Signal) -> String {
        self.status()["chains"][signal.as_str()]["active"].as_str().unwrap().to_owned()
    }

    /// Items in the queue, those out of the line included.
    pub(crate) fn queued(&self) -> u64 {
        self.gateway.books("queued")
    }

    /// What happened, for the message of a failed scenario.
    pub(crate) fn story(&self) -> String {
        let status = self.status();
        let short = |part: &str| serde_json::to_string_pretty(&status[part]).unwrap();
        format!("{}\n{}\n{}\n{}", short("timeline"), short("targets"), short("chains"), short("books"))
    }

    /// Waits for a condition; fails with the story.
    pub(crate) async fn until(&self, what: &str, patience: Duration, met: impl Fn(&Live) -> bool) -> Duration {
        let (began, patience) = (Instant::now(), patience.max(LEAST));
        while !met(self) {
            assert!(began.elapsed() < patience, "not within {patience:?}: {what}\n{}", self.story());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        began.elapsed()
    }
}
