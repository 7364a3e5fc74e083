//! The invariants, judged from outside the gateway: what clients were told against what hubs have.

use std::collections::{BTreeMap, BTreeSet};

use super::load::MOST;
use super::peer::Took;
use super::world::{Life, World};
use crate::batch::Signal;
use crate::queue::ledger::DeadReason;

pub(super) struct Oracle<'w> {
    pub(super) world: &'w World,
    pub(super) life: &'w Life,
}

impl Oracle<'_> {
    /// Whether nothing is left to deliver but batches that never get an answer: those stay until others show that it is they.
    pub(super) fn is_quiet(&self) -> bool {
        Signal::ALL.iter().all(|signal| {
            let books = self.life.queue.snapshot().signals[signal.index()].books;
            let hanging = |item: &&u64| (**item / MOST).is_multiple_of(self.world.fate.hanging);
            let staying = self.missing(*signal).iter().filter(hanging).count();
            books.queued_batches + books.dead[DeadReason::Suspect as usize] <= staying as u64
        })
    }

    /// Checks I1 to I5.
    pub(super) async fn check(&self) {
        let recount = self.life.queue.recount().await.unwrap();
        for signal in Signal::ALL {
            self.nothing_is_missing(signal);
            let books = self.life.queue.snapshot().signals[signal.index()].books;
            let acked = self.world.load.acked(signal).len() as u64;
            assert!(books.imbalance() == 0 && recount[signal.index()].imbalance() == 0, "I4\n{}", self.story());
            assert!(acked <= books.accepted, "I4: {acked} acked\n{}", self.story());
        }
        self.losses_are_counted();
        self.nothing_is_invented();
        self.few_repeats();
        if !self.world.fate.has_refusals() && self.world.fate.hanging == u64::MAX {
            self.metrics_are_in_order();
        }
    }

    /// Items that clients were told OK for, that the hubs have not (the primary, if fallbacks are not final), and that were not
    /// removed.
    fn missing(&self, signal: Signal) -> Vec<u64> {
        let peers = if self.world.fate.replayed { &self.world.peers[..1] } else { &self.world.peers };
        let took = peers.iter().flat_map(|peer| peer.took());
        let delivered: BTreeSet<u64> = took.filter(|took| took.signal == signal).map(|took| took.item).collect();
        let gone = self.gone(signal);
        self.world.load.acked(signal).difference(&delivered).filter(|item| !gone.contains(item)).copied().collect()
    }

    /// I1: acked ⊆ delivered ∪ removed ∪ dead ∪ queued; only what no hub takes is not delivered, unless hubs refuse what nothing is wrong with.
    fn nothing_is_missing(&self, signal: Signal) {
        let (fate, missing) = (&self.world.fate, self.missing(signal));
        let books = self.life.queue.snapshot().signals[signal.index()].books;
        let kept = books.queued + books.dead_total();
        assert!(missing.len() as u64 <= kept, "I1: {signal} {missing:?} are nowhere\n{}", self.story());
        let wronged: Vec<&u64> = missing.iter().filter(|item| !self.world.peers[0].detests(**item / MOST)).collect();
        assert!(fate.has_refusals() || wronged.is_empty(), "I1: {signal} {wronged:?}\n{}", self.story());
    }

    /// I2: a hub has what clients sent, as they sent it.
    fn nothing_is_invented(&self) {
        for peer in &self.world.peers {
            let invented = peer.took().iter().filter(|took| took.batch() > self.world.load.last()).count();
            assert_eq!((invented as u64, peer.altered()), (0, 0), "I2\n{}", self.story());
        }
    }

    /// I3: repeats only of what a hub may have had without saying so, or what was under way when the process ended.
    fn few_repeats(&self) {
        let repeats: u64 = self.world.peers.iter().map(|peer| repeats(&peer.took())).sum();
        let explained = self.world.repeats + self.life.deliver.snapshot().duplicate_sends;
        assert!(repeats <= explained, "I3: {repeats} repeats, {explained} explained\n{}", self.story());
    }

    /// I5: metrics arrive in the order in which they were sent, at each hub, repeats aside. Where a hub turned well at the wrong
    /// moment one may have been passed by one other.
    fn metrics_are_in_order(&self) {
        for peer in &self.world.peers {
            let (mut seen, mut late) = (BTreeSet::new(), 0);
            for took in peer.took().iter().filter(|took| took.signal == Signal::Metrics) {
                let passed_by = seen.range(took.batch() + 1..).count();
                if seen.insert(took.batch()) && passed_by > 0 {
                    late += 1;
                    assert!(passed_by == 1 && late <= 2, "I5: {took:?} after {:?}\n{}", seen.last(), self.story());
                }
            }
        }
    }

    /// What happened, for the message of a failure.
    pub(super) fn story(&self) -> String {
        let snapshot = self.life.deliver.snapshot();
        let mut lines = vec![format!("seed {}: {:?}", self.world.seed, self.world.fate.hubs)];
        lines.extend(self.world.story.iter().cloned());
        lines.extend(snapshot.timeline.iter().map(|event| event.what.clone()));
        lines.extend(self.life.queue.snapshot().signals.iter().map(|depth| format!("{depth:?}")));
        lines.extend(
            snapshot.targets.iter().map(|target| format!("{} {:?} {:?}", target.name, target.breaker, target.attempts)),
        );
        lines.extend(snapshot.chains.iter().map(|chain| format!("{} since {}", chain.active, chain.active_since_ms)));
        lines.extend(self.world.peers.iter().map(|peer| format!("asked {:?}", peer.asked())));
        lines.join("\n")
    }
}

/// Batches that came again, each as often as the item of it that came most often.
fn repeats(took: &[Took]) -> u64 {
    let mut copies: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    took.iter().for_each(|took| *copies.entry((took.batch(), took.item)).or_default() += 1);
    let mut most: BTreeMap<u64, u64> = BTreeMap::new();
    for ((batch, _), copies) in copies {
        let most = most.entry(batch).or_default();
        *most = (*most).max(copies - 1);
    }
    most.values().sum()
}
