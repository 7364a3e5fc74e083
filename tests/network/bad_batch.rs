//! Scenario: of each signal's load one request is refused with 400, with 500, or is never answered, whenever it comes, and the hub
//! takes all others.
//! Guarantee: it stalls nobody and moves no traffic. What is refused becomes a dead letter, alone; what hangs is parked.

use std::time::{Duration, Instant};

use spillway::batch::Signal;

use crate::hub::{Answer, Refusal};
use crate::live::Live;
use crate::load::{Load, Work};
use crate::rig::{Over, Plan};
use crate::support::client::{Client, Transport};
use crate::support::wait::seconds;

const WORK: Work = Work { per_request: 10, pause: Duration::from_millis(50), padding: 0, load: 0 };

/// The numbers of the bad request's items, beyond those of the load.
const BAD: std::ops::Range<u64> = 90_000_000_000_000..90_000_000_000_010;

/// Quick where something is tried again, patient where the hub itself is judged: it is well all the time.
const KNOBS: &str = "timeout: 2s, retry: {initial_interval: 100ms, max_interval: 1s}";

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_refused_is_a_dead_letter() {
    let (bad, broken) = (Refusal::new(400, 3, "cannot decode"), Refusal::new(500, 13, "null pointer"));
    tokio::join!(
        poison(Answer::Refuse(bad), Over::Grpc),
        poison(Answer::Refuse(bad), Over::Http),
        poison(Answer::Refuse(broken), Over::Grpc),
        poison(Answer::Refuse(broken), Over::Http)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_hangs_is_parked() {
    tokio::join!(poison(Answer::Hang, Over::Grpc), poison(Answer::Hang, Over::Http));
}

async fn poison(answer: Answer, over: Over) {
    let live = Plan { knobs: KNOBS, chain: "", ..Plan::new(over) }.launch("memory_limit: 64MiB").await;
    live.primary
        .hub
        .answer(move |asked| if asked.ids.iter().any(|id| BAD.contains(id)) { answer } else { Answer::Take });
    let mut load = live.load(WORK);
    live.until("the primary gets data", seconds(60), |live| has_since(live, &load, Instant::now() - seconds(60))).await;
    for signal in Signal::ALL {
        assert!(Client::of(Transport::Grpc, live.gateway.grpc).send(signal, BAD).await);
    }
    let sent = Instant::now();
    live.until("others pass it", seconds(60), |live| has_since(live, &load, sent)).await;
    let bad = 3 * (BAD.end - BAD.start);
    let judged = |live: &Live| match answer {
        Answer::Hang => live.gateway.metric("spillway_queue_parked_items", &[]) as u64 == bad,
        _ => live.gateway.books("dead") == bad,
    };
    live.until("it is judged", seconds(120), judged).await;
    let judged = Instant::now();
    live.until("all goes on", seconds(60), |live| has_since(live, &load, judged)).await;
    load.stop().await;
    let left = if answer == Answer::Hang { bad } else { 0 };
    live.until("all others have arrived", seconds(60), |live| live.queued() == left).await;
    for signal in Signal::ALL {
        let missing = load.acked_items(signal).filter(|id| live.primary.hub.came(signal, *id).is_none()).count();
        assert_eq!(missing, 0, "{answer:?} over {over:?}: {signal}\n{}", live.story());
    }
    assert!(live.fallback.hub.account().offers.is_empty(), "{answer:?} over {over:?}: traffic left\n{}", live.story());
    assert_eq!(live.gateway.books("dead"), bad - left, "{answer:?} over {over:?}\n{}", live.story());
    live.gateway.assert_balanced();
}

/// Whether the primary has something of each signal that was acknowledged since then.
fn has_since(live: &Live, load: &Load, since: Instant) -> bool {
    Signal::ALL.into_iter().all(|signal| {
        let acked = load.acked(signal);
        acked.iter().filter(|(_, at)| *at > since).any(|(first, _)| live.primary.hub.came(signal, *first).is_some())
    })
}
