//! A new configuration while data flows.

use std::sync::Arc;

use super::scripted::{Reply, Scripted};
use super::stage::{SECOND, Setting, Stage};
use crate::batch::Signal;
use crate::config::{ChainConfig, Order, ReplayConfig, SignalChain, TargetConfig};
use crate::deliver::Plan;
use crate::deliver::by_hand::Command;
use crate::deliver::change::ChangeError;
use crate::deliver::target_state::tests::config;
use crate::target::Target;

const ORDERS: [Order; 3] = [Order::FreshFirst, Order::Fifo, Order::FreshFirst];

/// Everything to the first of these targets, the others its fallbacks.
fn chain(names: &[&str]) -> SignalChain {
    let fallback = names[1..].iter().map(|name| (*name).to_owned()).collect();
    SignalChain { primary: names[0].to_owned(), fallback }
}

fn plan(chains: [SignalChain; 3], targets: Vec<(TargetConfig, Arc<Scripted>)>) -> Plan {
    let chain = ChainConfig {
        signals: chains,
        failover_after: 30 * SECOND,
        min_stay: 60 * SECOND,
        fallback_takes_backlog: true,
    };
    let targets = targets.into_iter().map(|(config, target)| (config, target as Arc<dyn Target>)).collect();
    Plan { chain, replay: ReplayConfig::default(), orders: ORDERS, targets }
}

fn same(names: &[&str]) -> [SignalChain; 3] {
    [chain(names), chain(names), chain(names)]
}

/// The targets that are on the stage, as they are.
fn on_stage(stage: &Stage, names: &[&str]) -> Vec<(TargetConfig, Arc<Scripted>)> {
    names.iter().zip(&stage.targets).map(|(name, target)| (config(name), target.clone())).collect()
}

/// The hub is at another place now, with requests on their way to the old one that never answers, while a backlog waits.
/// Guarantees that everything arrives at the new place, metrics in order, nothing twice but what was on its way, that counters go
/// on, and that what did not change is not asked anew.
#[tokio::test(start_paused = true)]
async fn a_target_moves() {
    let mut stage = Setting::new(&["hub", "direct"]).raise();
    let old = stage.targets[0].clone();
    let mut metrics = stage.append(Signal::Metrics, 5).await;
    stage.drained(Signal::Metrics, 5 * SECOND).await;
    old.answers(|_| Reply::Hang);
    metrics.extend(stage.append(Signal::Metrics, 5).await);
    let logs = stage.append(Signal::Logs, 50).await;
    stage.pass(SECOND).await;

    let mut moved = config("hub");
    moved.cluster = "central".to_owned();
    let new = Arc::new(Scripted::new("hub"));
    let direct = (config("direct"), stage.targets[1].clone());
    stage.targets.push(new.clone());
    let change = stage.deliver.change(plan(same(&["hub", "direct"]), vec![(moved, new.clone()), direct]));
    // The old place's requests get their time.
    let (changed, ()) = tokio::join!(change, stage.pass(6 * SECOND));
    changed.unwrap();
    stage.drained(Signal::Metrics, 30 * SECOND).await;
    stage.drained(Signal::Logs, 60 * SECOND).await;
    assert_eq!(old.taken(Signal::Metrics).into_iter().chain(new.taken(Signal::Metrics)).collect::<Vec<_>>(), metrics);
    let mut taken = new.taken(Signal::Logs);
    taken.sort_unstable();
    assert_eq!(taken, logs);
    let snapshot = stage.snapshot();
    assert_eq!(snapshot.targets[0].delivered[Signal::Metrics.index()].iter().sum::<u64>(), 10, "both places together");
    assert_eq!((snapshot.targets[0].cluster.as_str(), snapshot.targets.len()), ("central", 2));
    assert!(snapshot.chains.iter().all(|chain| chain.active == "hub" && chain.failovers.is_empty()));
    stage.books_balance().await;
}

/// The chain of logs gets another fallback, while the primary is dead and everything is at the first one.
/// Guarantees that the lines of the others do not even pause, that logs stay where they are, that what is owed stays owed, and that
/// the primary has everything in the end.
#[tokio::test(start_paused = true)]
async fn a_chain_changes_amid_a_failover() {
    let mut stage = Setting::new(&["hub", "direct"]).raise();
    let hub = stage.targets[0].clone();
    hub.dies();
    let (mut traces, mut logs) = (stage.append(Signal::Traces, 5).await, stage.append(Signal::Logs, 5).await);
    for signal in [Signal::Logs, Signal::Traces] {
        stage.until(60 * SECOND, "the fallback has it", |stage| stage.targets[1].taken(signal).len() == 5).await;
        stage.pass(SECOND).await;
        stage.books_show(signal, "it is owed", |books| books.owed == 5).await;
    }

    let (lines, other) = (stage.deliver.lines(), Arc::new(Scripted::new("other")));
    let mut targets = on_stage(&stage, &["hub", "direct"]);
    targets.push((config("other"), other.clone()));
    let chains = [chain(&["hub", "direct"]), chain(&["hub", "direct"]), chain(&["hub", "other", "direct"])];
    stage.deliver.change(plan(chains, targets)).await.unwrap();
    stage.targets.push(other.clone());
    let kept: Vec<bool> = stage.deliver.lines().iter().zip(&lines).map(|(new, old)| Arc::ptr_eq(new, old)).collect();
    assert_eq!(kept, [true, true, false]);
    assert_eq!(stage.active(Signal::Logs), "direct");
    assert_eq!(stage.snapshot().chains[2].failovers.len(), 1, "it is not forgotten how it came there");
    logs.extend(stage.append(Signal::Logs, 5).await);
    traces.extend(stage.append(Signal::Traces, 5).await);
    stage.until(60 * SECOND, "direct has them", |stage| stage.targets[1].taken(Signal::Logs).len() == 10).await;
    stage.pass(SECOND).await;
    stage.books_show(Signal::Logs, "all logs are owed", |books| books.owed == 10).await;

    hub.works();
    for (signal, mut numbers) in [(Signal::Logs, logs), (Signal::Traces, traces)] {
        stage.drained(signal, 300 * SECOND).await;
        let mut taken = hub.taken(signal);
        taken.sort_unstable();
        numbers.sort_unstable();
        assert_eq!(taken, numbers, "{}", stage.story());
    }
    stage.books_balance().await;
}

/// The same configuration again; one that leaves a pinned target out; the same once the pin is gone, with the data owed by then.
/// Guarantees that nothing is touched by the first two, and that what was owed reaches whoever is primary now.
#[tokio::test(start_paused = true)]
async fn a_pinned_target_is_not_taken_away() {
    let mut stage = Setting::new(&["hub", "direct"]).raise();
    let (gates, lines) = (stage.deliver.gates(), stage.deliver.lines());
    let names = ["hub", "direct"];
    stage.deliver.change(plan(same(&names), on_stage(&stage, &names))).await.unwrap();
    let direct = Command::Pin { target: "direct".to_owned() };
    stage.deliver.command(direct).await.unwrap();
    stage.append(Signal::Logs, 5).await;
    stage.until(10 * SECOND, "it is taken", |stage| stage.targets[1].taken(Signal::Logs).len() == 5).await;
    stage.pass(SECOND).await;
    stage.books_show(Signal::Logs, "it is owed", |books| books.owed == 5).await;
    let refused = stage.deliver.change(plan(same(&["hub"]), on_stage(&stage, &["hub"]))).await;
    assert!(matches!(refused, Err(ChangeError::Pinned(name)) if name == "direct"));
    let same_gates = stage.deliver.gates().iter().zip(&gates).all(|(new, old)| Arc::ptr_eq(new, old));
    let same_lines = stage.deliver.lines().iter().zip(&lines).all(|(new, old)| Arc::ptr_eq(new, old));
    assert!(same_gates && same_lines);

    stage.deliver.command(Command::Unpin).await.unwrap();
    let new = Arc::new(Scripted::new("new"));
    stage.deliver.change(plan(same(&["new"]), vec![(config("new"), new.clone())])).await.unwrap();
    stage.targets.push(new.clone());
    stage.drained(Signal::Logs, 60 * SECOND).await;
    assert_eq!(new.taken(Signal::Logs).len(), 5);
    assert_eq!(stage.snapshot().targets.len(), 1);
    stage.books_balance().await;
}
