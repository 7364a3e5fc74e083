//! Strict order (`order: fifo`), the default of metrics.

use super::scripted::{Reply, http};
use super::stage::{SECOND, STEP, Setting, Stage};
use crate::batch::Signal;
use crate::deliver::judge::Judgement;
use crate::deliver::request::Effect;
use crate::deliver::step;
use crate::otlp::answer::{Answer, Break};
use crate::queue::{Lane, Settlement, Taker};
use crate::target::Health;

fn rising(numbers: &[u64]) -> bool {
    numbers.windows(2).all(|pair| pair[0] < pair[1])
}

/// Once each, in order, apart from what a target got twice.
fn in_order(stage: &Stage, target: usize) {
    let taken = stage.targets[target].taken(Signal::Metrics);
    assert!(rising(&taken), "{taken:?}\n{}", stage.story());
}

/// Metrics while the hub fails in passing, throttles, hangs, dies, and is replaced by the fallback, and comes back.
/// Guarantees that each target gets them in the order of arrival, one at a time, and the hub all of them.
#[tokio::test(start_paused = true)]
async fn metrics_keep_their_order_through_everything() {
    let mut stage = Setting::new(&["hub", "direct"]).raise();
    let (hub, direct) = (stage.targets[0].clone(), stage.targets[1].clone());
    let troubles: [fn(u64) -> Reply; 5] = [
        |_| Reply::Say(http(503)),
        |_| Reply::Say(http(429)),
        |_| Reply::Hang,
        |_| Reply::Say(http(401)),
        |number| if number % 3 == 0 { Reply::Say(http(502)) } else { Reply::Say(Answer::accepted()) },
    ];
    for trouble in troubles {
        hub.answers(trouble);
        stage.append(Signal::Metrics, 5).await;
        stage.pass(7 * SECOND).await;
        stage.append(Signal::Metrics, 5).await;
        hub.works();
        stage.append(Signal::Metrics, 5).await;
        stage.pass(40 * SECOND).await;
    }
    hub.dies();
    stage.append(Signal::Metrics, 20).await;
    stage.pass(50 * SECOND).await;
    assert_eq!(stage.active(Signal::Metrics), "direct");
    stage.append(Signal::Metrics, 20).await;
    stage.pass(10 * SECOND).await;
    assert!(direct.taken(Signal::Metrics).len() >= 40, "{}", stage.story());
    hub.works();
    stage.append(Signal::Metrics, 5).await;
    stage.drained(Signal::Metrics, 200 * SECOND).await;
    in_order(&stage, 0);
    in_order(&stage, 1);
    assert_eq!(hub.taken(Signal::Metrics), (1..=120).collect::<Vec<_>>());
    assert_eq!((hub.most_inside(), direct.most_inside()), (1, 1));
    stage.books_balance().await;
}

/// A black-holed hub when traffic leaves it.
/// Guarantees that the batch which hangs there goes first at the fallback, without waiting for its timeout.
#[tokio::test(start_paused = true)]
async fn what_hangs_goes_first_at_the_next_target() {
    let mut stage = Setting::new(&["hub", "direct"]).raise();
    let (hub, direct) = (stage.targets[0].clone(), stage.targets[1].clone());
    hub.answers(|_| Reply::Hang);
    hub.set_health(Health::Unknown);
    stage.append(Signal::Metrics, 5).await;
    let after = stage.until(40 * SECOND, "the fallback", |_| direct.taken(Signal::Metrics).len() == 5).await;
    assert!(after <= 31 * SECOND, "{after:?}");
    in_order(&stage, 1);
}

/// The fallback's refusal of the batch at the head is judged in the moment in which traffic goes back to the hub.
/// Guarantees that the hub gets it: who is not asked any more keeps nothing aside.
#[tokio::test(start_paused = true)]
async fn nothing_is_kept_for_a_target_that_lost_the_traffic() {
    let mut stage = Setting::new(&["hub", "direct"]).raise();
    let hub = stage.targets[0].clone();
    hub.answers(|_| Reply::Say(Answer::Http { status: 429, message: String::new(), delay: Some(8 * SECOND) }));
    stage.append(Signal::Metrics, 2).await;
    stage.until(SECOND, "a pause", |_| hub.arrivals(Signal::Metrics).len() == 1 && hub.inside() == 0).await;
    hub.works();
    let lease = stage.queue.lease(Signal::Metrics, Lane::Backlog, Taker::Fallback).await.expect("the head");
    let refused = Judgement::new(Settlement::Return { hold: STEP }, Effect::Doubt).at_the_head(true);
    let line = stage.deliver.cast.lock().unwrap().lines[Signal::Metrics.index()].clone();
    step::settle(&line, 1, lease, refused);
    stage.until(20 * SECOND, "the hub has both", |_| hub.taken(Signal::Metrics) == [1, 2]).await;
}

/// A hub that answers 500 to everything for a while, several times.
/// Guarantees that order is broken by single batches at most, and nothing dies.
#[tokio::test(start_paused = true)]
async fn a_sick_hub_breaks_the_order_by_single_batches_at_most() {
    let mut stage = Setting::new(&["hub"]).raise();
    stage.step = STEP * 2;
    let hub = stage.targets[0].clone();
    for round in 0..6 {
        hub.says_http(500);
        stage.append(Signal::Metrics, 10).await;
        stage.pass((3 + round * 5) * SECOND).await;
        hub.works();
        stage.drained(Signal::Metrics, 400 * SECOND).await;
    }
    let taken = hub.taken(Signal::Metrics);
    let back = taken.windows(2).filter(|pair| pair[1] < pair[0]).count();
    let far = taken.iter().enumerate().map(|(place, number)| (place as u64 + 1).abs_diff(*number)).max();
    assert!(back <= 6 && far <= Some(1), "{taken:?}");
    assert_eq!((taken.len(), stage.books(Signal::Metrics).dead_total()), (60, 0));
}

/// The way to the hub breaks every connection, to probes too, for shorter and longer; the breaker tries again quickly.
/// Guarantees the order: that it was up before shows nothing, and no batch is let past the one that fails.
#[tokio::test(start_paused = true)]
async fn a_broken_way_keeps_the_order() {
    let mut setting = Setting::new(&["hub"]);
    let breaker = &mut setting.targets[0].0.breaker;
    (breaker.consecutive_failures, breaker.open_for, breaker.max_open_for) = (2, STEP * 2, STEP * 5);
    let mut stage = setting.raise();
    let hub = stage.targets[0].clone();
    stage.append(Signal::Metrics, 5).await;
    stage.drained(Signal::Metrics, 10 * SECOND).await;
    for round in 1..=12 {
        hub.answers(|_| Reply::Say(Answer::Broken { at: Break::Reset, message: "reset".to_owned() }));
        hub.set_health(Health::Down("reset".to_owned()));
        stage.append(Signal::Metrics, 5).await;
        stage.pass(STEP * 7 * round).await;
        hub.works();
        stage.append(Signal::Metrics, 5).await;
        stage.drained(Signal::Metrics, 60 * SECOND).await;
    }
    in_order(&stage, 0);
    assert_eq!(hub.taken(Signal::Metrics).len(), 125);
}

/// The primary is back, the fallback is slow, and the primary already has what was owed.
/// Guarantees that the primary is not tried out with a batch that would overtake the one at the fallback.
#[tokio::test(start_paused = true)]
async fn trials_do_not_overtake() {
    let mut setting = Setting::new(&["hub", "direct"]);
    (setting.targets[0].0.breaker.open_for, setting.targets[0].0.breaker.max_open_for) = (SECOND, SECOND);
    let mut stage = setting.raise();
    let (hub, direct) = (stage.targets[0].clone(), stage.targets[1].clone());
    hub.dies();
    stage.append(Signal::Metrics, 1).await;
    stage.until(40 * SECOND, "owed", |_| direct.taken(Signal::Metrics).len() == 1).await;
    direct.set_latency(8 * SECOND);
    stage.append(Signal::Metrics, 10).await;
    hub.works();
    stage.drained(Signal::Metrics, 200 * SECOND).await;
    in_order(&stage, 0);
    in_order(&stage, 1);
    assert_eq!(hub.taken(Signal::Metrics).len(), 11);
}

/// A hub that refuses a batch which has nothing behind it, for a minute, and is well again when more comes in; it takes traces all the while.
/// Guarantees that what comes in does not wait for the end of a hold that grew meanwhile.
#[tokio::test(start_paused = true)]
async fn one_that_was_refused_alone_does_not_keep_others_waiting() {
    let mut stage = Setting::new(&["hub"]).raise();
    let hub = stage.targets[0].clone();
    let bad = stage.append(Signal::Metrics, 1).await[0];
    hub.answers(move |number| Reply::Say(if number == bad { http(400) } else { Answer::accepted() }));
    for _ in 0..70 {
        stage.append(Signal::Traces, 5).await;
        stage.pass(SECOND).await;
    }
    hub.works();
    stage.append(Signal::Metrics, 5).await;
    let after = stage.drained(Signal::Metrics, 60 * SECOND).await;
    assert!(after <= 3 * SECOND, "{after:?}\n{}", stage.story());
    in_order(&stage, 0);
}
