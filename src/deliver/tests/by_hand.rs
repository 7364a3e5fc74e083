//! What people order.

use super::stage::{SECOND, Setting};
use crate::batch::Signal;
use crate::deliver::by_hand::{ByHand, Command, CommandError};
use crate::deliver::snapshot::BreakerState;

fn to(target: &str, command: fn(String) -> Command) -> Command {
    command(target.to_owned())
}

fn pin(target: &str) -> Command {
    to(target, |target| Command::Pin { target })
}

/// The healthy primary is passed over by a pin, which is taken back.
/// Guarantees that everything goes to the pinned fallback as owed, and to the primary once the pin is gone; that the order is kept
/// in the queue, and told.
#[tokio::test(start_paused = true)]
async fn a_pin_sends_everything_to_one_target() {
    let mut stage = Setting::new(&["hub", "direct"]).raise();
    let (hub, direct) = (stage.targets[0].clone(), stage.targets[1].clone());
    let done = stage.deliver.command(pin("direct")).await.unwrap();
    assert_eq!(done.what, "traffic is pinned to direct");
    for signal in Signal::ALL {
        stage.append(signal, 5).await;
        stage.until(5 * SECOND, "the fallback has it", |_| direct.taken(signal).len() == 5).await;
    }
    stage.pass(300 * SECOND).await;
    assert!(Signal::ALL.iter().all(|signal| hub.taken(*signal).is_empty() && stage.active(*signal) == "direct"));
    stage.books_show(Signal::Logs, "logs are owed", |books| books.owed == 5).await;
    let kept = ByHand::decode(stage.queue.kept().await.unwrap().as_deref());
    assert_eq!(kept.target(), Some("direct"));
    assert_eq!(stage.snapshot().by_hand, kept);

    stage.deliver.command(Command::Unpin).await.unwrap();
    for signal in Signal::ALL {
        stage.drained(signal, 120 * SECOND).await;
        assert_eq!((hub.taken(signal).len(), stage.active(signal).as_str()), (5, "hub"));
    }
    assert_eq!(ByHand::decode(stage.queue.kept().await.unwrap().as_deref()), ByHand::default());
    assert!(stage.story().contains("by hand: traffic is pinned to direct"), "{}", stage.story());
    stage.books_balance().await;
}

/// Delivery is paused amid traffic, for longer than any probe or patience.
/// Guarantees that nothing is sent, nothing is held on a lease and everything is queued; afterwards all arrives, metrics in order.
#[tokio::test(start_paused = true)]
async fn a_pause_sends_nothing_and_loses_nothing() {
    let mut stage = Setting::new(&["hub", "direct"]).raise();
    let hub = stage.targets[0].clone();
    let mut metrics = stage.append(Signal::Metrics, 3).await;
    stage.drained(Signal::Metrics, 5 * SECOND).await;
    stage.deliver.command(Command::Pause).await.unwrap();
    metrics.extend(stage.append(Signal::Metrics, 20).await);
    stage.append(Signal::Traces, 20).await;
    stage.pass(600 * SECOND).await;
    assert_eq!((hub.taken(Signal::Metrics).len(), hub.taken(Signal::Traces).len()), (3, 0));
    let snapshot = stage.queue.snapshot();
    assert!(snapshot.signals.iter().all(|depth| depth.leased_batches == 0), "{snapshot:?}");
    assert!(stage.snapshot().by_hand.paused_since_ms.is_some());

    stage.deliver.command(Command::Resume).await.unwrap();
    stage.drained(Signal::Traces, 60 * SECOND).await;
    stage.drained(Signal::Metrics, 60 * SECOND).await;
    assert_eq!(hub.taken(Signal::Metrics), metrics);
    stage.books_balance().await;
}

/// A delivery that starts with what held when the last one ended.
/// Guarantees that nothing slips out before the orders hold.
#[tokio::test(start_paused = true)]
async fn orders_hold_from_the_start() {
    for paused_since_ms in [None, Some(1)] {
        let mut setting = Setting::new(&["hub", "direct"]);
        let pinned = Some(crate::deliver::by_hand::Pinned { target: "direct".to_owned(), since_ms: 1 });
        setting.by_hand = ByHand { pinned, paused_since_ms };
        let mut stage = setting.raise();
        stage.append(Signal::Logs, 5).await;
        stage.pass(20 * SECOND).await;
        let taken = [0, 1].map(|target: usize| stage.targets[target].taken(Signal::Logs).len());
        assert_eq!(taken, if paused_since_ms.is_some() { [0, 0] } else { [0, 5] });
    }
}

/// The primary's breaker is opened by hand, closed by hand while the primary fails, and let go.
/// Guarantees that no batch goes where it is open and none is held back where it is closed, and that it decides by itself again.
#[tokio::test(start_paused = true)]
async fn a_breaker_is_forced_and_let_go() {
    let mut stage = Setting::new(&["hub", "direct"]).raise();
    let (hub, direct) = (stage.targets[0].clone(), stage.targets[1].clone());
    stage.deliver.command(to("hub", |target| Command::Open { target })).await.unwrap();
    stage.until(5 * SECOND, "traffic leaves", |stage| stage.active(Signal::Logs) == "direct").await;
    stage.append(Signal::Logs, 5).await;
    stage.pass(200 * SECOND).await;
    assert_eq!((hub.taken(Signal::Logs).len(), direct.taken(Signal::Logs).len()), (0, 5));
    assert_eq!(stage.snapshot().targets[0].breaker, BreakerState::ForcedOpen);

    stage.deliver.command(to("hub", |target| Command::Auto { target })).await.unwrap();
    stage.drained(Signal::Logs, 120 * SECOND).await;
    assert_eq!((hub.taken(Signal::Logs).len(), stage.active(Signal::Logs).as_str()), (5, "hub"));

    stage.deliver.command(to("hub", |target| Command::Close { target })).await.unwrap();
    hub.dies();
    stage.append(Signal::Traces, 50).await;
    stage.pass(25 * SECOND).await;
    assert_eq!(stage.snapshot().targets[0].breaker, BreakerState::ForcedClosed, "{}", stage.story());
    assert!(hub.arrivals(Signal::Traces).len() > 5, "one that would have opened at the fifth");
    stage.deliver.command(to("hub", |target| Command::Auto { target })).await.unwrap();
    stage.append(Signal::Traces, 50).await;
    let open = |stage: &super::stage::Stage| stage.snapshot().targets[0].breaker == BreakerState::Open;
    stage.until(600 * SECOND, "it opens by itself", open).await;
}

/// Traffic of a healthy chain is moved by hand, while a dead fallback stands between.
/// Guarantees that it goes to the next target that takes data and comes back at once; orders that make no sense change nothing and
/// say why.
#[tokio::test(start_paused = true)]
async fn failing_over_and_back() {
    let mut stage = Setting::new(&["hub", "dead", "direct"]).raise();
    stage.targets[1].dies();
    stage.until(60 * SECOND, "probes show it", |stage| !stage.snapshot().targets[1].up).await;
    let said = async |stage: &super::stage::Stage, command| match stage.deliver.command(command).await {
        Ok(done) => done.what,
        Err(error) => error.to_string(),
    };
    let what = said(&stage, Command::FailOver).await;
    assert_eq!(what, "traffic goes: traces to direct, metrics to direct, logs to direct");
    stage.append(Signal::Metrics, 5).await;
    stage.until(5 * SECOND, "it arrives", |stage| stage.targets[2].taken(Signal::Metrics).len() == 5).await;
    let what = said(&stage, Command::FailBack).await;
    assert_eq!(what, "traffic goes: traces to hub, metrics to hub, logs to hub");
    stage.drained(Signal::Metrics, 30 * SECOND).await;

    let what = said(&stage, Command::FailBack).await;
    assert!(what.starts_with("no chain has a primary to go back to that takes data"), "{what}");
    let unknown = stage.deliver.command(pin("hug")).await.unwrap_err();
    assert_eq!(unknown.to_string(), "no chain has a target \"hug\"; there is hub, dead, direct");
    stage.deliver.command(pin("hub")).await.unwrap();
    let refused = stage.deliver.command(Command::FailOver).await.unwrap_err();
    assert!(matches!(&refused, CommandError::NotNow(why) if why.contains("pinned to hub")), "{refused}");
    assert!(Signal::ALL.iter().all(|signal| stage.active(*signal) == "hub"));
}
