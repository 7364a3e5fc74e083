//! Scenario: no target of the chain accepts, their ports closed or their connections silent, over a backlog; in a release it is
//! 10 GiB, for ten minutes, with the defaults. Then the targets are back.
//! Guarantee: nothing is done per queued batch: hardly any CPU, no more memory than before, and the backlog goes out afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::live::{Live, release};
use crate::proxy::Fault;
use crate::rig::{Over, Plan};
use crate::support::client::{Client, Transport};
use crate::support::items;
use crate::support::wait::seconds;
use crate::usage::Usage;

/// Bytes of a request: about what an agent sends of compressed telemetry.
const REQUEST: usize = 64 << 10;

/// How much is queued, for how long it is watched, and what is allowed meanwhile.
struct Watch {
    backlog: u64,
    looks: u32,
    pause: Duration,
    /// Share of one core, over the whole time.
    cpu: f64,
    /// Growth of resident memory, in KiB.
    growth: u64,
}

/// A sample: a debug binary on a machine that does other things too.
const SAMPLE: Watch = Watch { backlog: 64 << 20, looks: 10, pause: seconds(1), cpu: 0.05, growth: 32 << 10 };
/// With closed ports.
const LONG: Watch = Watch { backlog: 10 << 30, looks: 60, pause: seconds(10), cpu: 0.01, growth: 4 << 10 };
/// With silent ones.
const SHORT: Watch = Watch { looks: 18, ..LONG };

#[tokio::test(flavor = "multi_thread")]
async fn closed_ports_cost_nothing() {
    partition(Fault::Refused, if release() { LONG } else { SAMPLE }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_ones_cost_nothing() {
    partition(Fault::BlackHole, if release() { SHORT } else { SAMPLE }).await;
}

async fn partition(fault: Fault, watch: Watch) {
    let mut plan = Plan::new(Over::Grpc);
    plan.per_request = 1;
    (plan.knobs, plan.chain) = ("", "");
    let live = plan.launch("max_size: 24GiB").await;
    for place in [&live.primary, &live.fallback] {
        place.proxy.set(fault);
    }
    let sent = fill(&live, watch.backlog).await;
    let partitioned = |live: &Live| live.gateway.metric("spillway_partition_active", &[]) == 3.0;
    live.until("the partition is told", seconds(120), partitioned).await;
    let queued = live.queued();
    assert!(queued > sent * 9 / 10, "{queued} of {sent} are queued\n{}", live.story());
    // Flushes and joins of tables go on for a while after the last request.
    let mut before = Usage::of(live.gateway.pid());
    for _ in 0..60 {
        sleep(watch.pause.min(seconds(2))).await;
        let now = Usage::of(live.gateway.pid());
        let quiet = now.share_since(&before) < watch.cpu;
        before = now;
        if quiet {
            break;
        }
    }

    let first = Usage::of(live.gateway.pid());
    let (mut last, mut lines) = (first, String::new());
    for _ in 0..watch.looks {
        sleep(watch.pause).await;
        let now = Usage::of(live.gateway.pid());
        lines += &format!(" {:.2}%/{}", now.share_since(&last) * 100.0, now.resident >> 10);
        last = now;
    }
    let cpu = last.share_since(&first);
    let told = format!(
        "{fault:?} over {} MiB in {queued} batches: {:.2} % of a core, {} KiB resident at first, {} at last; each {:?}, in MiB:{lines}",
        watch.backlog >> 20,
        cpu * 100.0,
        first.resident,
        last.resident,
        watch.pause
    );
    println!("{told}");
    assert_eq!(live.queued(), queued, "{told}");
    assert!(cpu < watch.cpu, "{told}\n{}", live.story());
    assert!(last.resident <= first.resident + watch.growth, "{told}\n{}", live.story());

    if !release() {
        for place in [&live.primary, &live.fallback] {
            place.proxy.set(Fault::None);
        }
        live.until("the backlog goes out", seconds(120), |live| live.queued() == 0).await;
        live.gateway.assert_balanced();
    }
}

/// Queues that many bytes; how many requests those are.
async fn fill(live: &Live, bytes: u64) -> u64 {
    let requests = bytes / REQUEST as u64;
    let next = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for signal in Signal::ALL {
        for (transport, door) in [(Transport::Grpc, live.gateway.grpc), (Transport::Http, live.gateway.http)] {
            let next = Arc::clone(&next);
            clients.spawn(async move {
                let client = Client::of(transport, door);
                loop {
                    let id = next.fetch_add(1, Relaxed);
                    if id >= requests {
                        break;
                    }
                    let mut body = items::request(signal, id..id + 1);
                    items::pad(&mut body, REQUEST);
                    let answer = client.send_body(signal, Encoding::Identity, &body).await;
                    assert_eq!(answer, Answer::accepted());
                }
            });
        }
    }
    clients.join_all().await;
    requests
}
