//! Scenario: clients send gzip, and the hub takes none: it answers compressed bodies with 400, or with 415.
//! Guarantee: after the first it gets plain ones, unchanged, and nothing is refused for good or sent elsewhere.

use std::time::Duration;

use spillway::batch::Signal;

use crate::hub::{Answer, Refusal};
use crate::load::Work;
use crate::rig::{Over, Plan};
use crate::support::wait::seconds;

const WORK: Work = Work { per_request: 10, pause: Duration::from_millis(20), padding: 0, load: 0 };

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_takes_no_gzip_gets_plain_bodies() {
    let (bad, what) = (Refusal::new(400, 3, "cannot decode"), Refusal::new(415, 12, "gzip?"));
    tokio::join!(plain(bad, Over::Grpc), plain(bad, Over::Http), plain(what, Over::Grpc), plain(what, Over::Http));
}

async fn plain(refusal: Refusal, over: Over) {
    let live = Plan { knobs: "", chain: "", ..Plan::new(over) }.launch("memory_limit: 64MiB").await;
    live.primary.hub.answer(move |asked| if asked.compressed { Answer::Refuse(refusal) } else { Answer::Take });
    let mut load = live.load(WORK);
    let taken = |live: &crate::live::Live| Signal::ALL.iter().all(|signal| live.primary.hub.distinct(*signal) > 500);
    live.until("it takes what it gets", seconds(60), taken).await;
    load.stop().await;
    live.until("I6: the backlog empties", seconds(60), |live| live.queued() == 0).await;
    for signal in Signal::ALL {
        let missing = load.acked_items(signal).filter(|id| live.primary.hub.came(signal, *id).is_none()).count();
        assert_eq!(missing, 0, "{refusal:?} over {over:?}: {signal}\n{}", live.story());
    }
    let account = live.primary.hub.account();
    let compressed = account.offers.iter().filter(|offer| offer.compressed).count();
    assert_eq!(account.altered, [""; 0]);
    // Those that were in flight before the first answer, of each signal.
    assert!((1..=3 * 32).contains(&compressed), "{compressed} of {} were compressed", account.offers.len());
    drop(account);
    assert!(live.fallback.hub.account().offers.is_empty(), "{refusal:?} over {over:?}\n{}", live.story());
    assert_eq!(live.gateway.books("dead") + live.gateway.books("dropped"), 0);
}
