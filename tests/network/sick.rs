//! Scenario: the hubs answer 400, 404, 500 and 413 to everything, one after the other, and are well then; or 401, in a release for
//! ten minutes and with the defaults.
//! Guarantee `no-verdict-without-witness`: each is recognised as trouble of the hub, nothing is lost and nothing is dead, and
//! everything arrives within a minute of its end.

use std::time::Duration;

use spillway::batch::Signal;

use crate::hub::{Answer, Refusal};
use crate::live::{Live, release};
use crate::load::{Load, Work};
use crate::rig::{HURRIED, Over, Place, Plan};
use crate::support::wait::seconds;

const WORK: Work = Work { per_request: 10, pause: Duration::from_millis(50), padding: 0, load: 0 };

const WHO: Refusal = Refusal::new(401, 16, "who are you?");

/// What they answer, and whether that is the endpoint's trouble rather than the breaker's.
const SICKNESSES: [(Refusal, bool); 4] = [
    (Refusal::new(400, 3, "cannot decode"), false),
    (Refusal::new(404, 12, "no such thing"), true),
    (Refusal::new(500, 13, "null pointer"), false),
    (Refusal::new(413, 8, "message larger than max"), false),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_refuses_everything_condemns_nothing() {
    tokio::join!(all(Over::Grpc), all(Over::Http));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_costs_nothing_however_long() {
    tokio::join!(long(Over::Grpc), long(Over::Http));
}

async fn all(over: Over) {
    let live = Plan::new(over).launch("memory_limit: 64MiB").await;
    let mut load = live.load(WORK);
    for (refusal, of_the_endpoint) in SICKNESSES {
        is_sick(&live, refusal, of_the_endpoint, seconds(3)).await;
        recovers(&live, &load).await;
    }
    load.stop().await;
    nothing_is_lost(&live, &load).await;
}

async fn long(over: Over) {
    let mut plan = Plan::new(over);
    plan.pause = Duration::ZERO; // what gathers in ten minutes is paid back within one
    let lasts = if release() { seconds(600) } else { seconds(6) };
    (plan.knobs, plan.chain) = if release() { ("", "") } else { (HURRIED, "") };
    let live = plan.launch("").await;
    let mut load = live.load(WORK);
    is_sick(&live, WHO, true, lasts).await;
    let took = recovers(&live, &load).await;
    load.stop().await;
    let items = nothing_is_lost(&live, &load).await;
    println!("401 for {lasts:?} over {over:?}: new data {took:?} after its end, all {items} items arrived");
}

/// Both hubs answer so for a time; the gateway says what it is.
async fn is_sick(live: &Live, refusal: Refusal, of_the_endpoint: bool, lasts: Duration) {
    for place in [&live.primary, &live.fallback] {
        place.hub.answer(move |_| Answer::Refuse(refusal));
    }
    let began = std::time::Instant::now();
    let known = |live: &Live| {
        let target = &live.status()["targets"][0];
        let misconfigured = target["misconfigured"].as_array().unwrap().len() == Signal::ALL.len();
        let shut = target["breaker"] == "open" || target["breaker"] == "half_open";
        if of_the_endpoint { misconfigured } else { shut }
    };
    live.until(&format!("{refusal:?} is recognised"), seconds(60), known).await;
    tokio::time::sleep(lasts.saturating_sub(began.elapsed())).await;
    let accounts = ["dead", "dropped", "rejected"].map(|account| live.gateway.books(account));
    assert_eq!(accounts, [0; 3], "{refusal:?}\n{}", live.story());
    for place in [&live.primary, &live.fallback] {
        place.hub.answer(|_| Answer::Take);
    }
}

/// Until new traces and logs are at one of the hubs; metrics wait for what is older.
async fn recovers(live: &Live, load: &Load) -> Duration {
    let now = std::time::Instant::now();
    let fresh = |place: &Place, signal| {
        let acked = load.acked(signal);
        acked.iter().filter(|(_, at)| *at > now).any(|(first, _)| place.hub.came(signal, *first).is_some())
    };
    let well = |live: &Live| {
        [Signal::Traces, Signal::Logs]
            .into_iter()
            .all(|signal| fresh(&live.primary, signal) || fresh(&live.fallback, signal))
    };
    live.until("new data arrives", seconds(60), well).await
}

/// The primary has everything in the end.
async fn nothing_is_lost(live: &Live, load: &Load) -> usize {
    live.until("I6: the backlog empties", seconds(120), |live| live.queued() == 0).await;
    let mut items = 0;
    for signal in Signal::ALL {
        let missing = load.acked_items(signal).filter(|id| live.primary.hub.came(signal, *id).is_none()).count();
        assert_eq!(missing, 0, "I1: {signal}\n{}", live.story());
        items += load.acked_items(signal).count();
    }
    let accounts = ["dead", "dropped", "rejected"].map(|account| live.gateway.books(account));
    assert_eq!(accounts, [0; 3], "{}", live.story());
    assert!(live.primary.hub.account().altered.is_empty(), "I2");
    live.gateway.assert_balanced();
    items
}
