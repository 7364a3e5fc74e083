//! The invariants, checked from outside the gateway: what clients were told against what hubs have.

use std::collections::BTreeMap;
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use spillway::batch::Signal;

use crate::load::Load;
use crate::rig::{Place, Rig};

/// Most sends that may have broken without an answer each time that trouble comes: what can be in flight when it begins, and one
/// paced attempt after the other while it lasts.
const BROKEN: u64 = 60;

/// What is known of a scenario beforehand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    /// Whether strict order holds: a hub that refuses batches may break it for single ones.
    pub(crate) in_order: bool,
    /// Whether dead letters are in order: a hub that takes some batches and never that one.
    pub(crate) dead_letters: bool,
    /// Whether everything has been delivered by now.
    pub(crate) settled: bool,
    /// Whether the primary has it all.
    pub(crate) at_primary: bool,
    /// How often the trouble came.
    pub(crate) times: u32,
}

/// Checks I1 to I5 and I8, and ends the gateway.
pub(crate) async fn check(rig: Rig, load: &Load, expected: Expected) {
    for signal in Signal::ALL {
        nothing_is_missing(&rig, load, signal, expected);
        for place in [&rig.primary, &rig.fallback] {
            nothing_is_invented(&rig, place, load, signal);
        }
        books_balance(&rig, load, signal).await;
    }
    few_duplicates(&rig, load, expected.times);
    if expected.in_order {
        for place in [&rig.primary, &rig.fallback] {
            in_order(place, || rig.story());
        }
    }
    let began = Instant::now();
    let panics = gateway_panics();
    rig.app.stop(false).await;
    assert!(began.elapsed() < Duration::from_secs(60), "I8: it took {:?} to stop", began.elapsed());
    assert_eq!(panics, 0, "I8: the gateway panicked");
}

/// I1: acked ⊆ delivered ∪ dead ∪ queued, and nothing is dropped.
fn nothing_is_missing(rig: &Rig, load: &Load, signal: Signal, expected: Expected) {
    let books = rig.books(signal);
    assert_eq!(books.dropped_total(), 0, "I1: dropped\n{}", rig.story());
    assert_eq!(books.rejected, 0, "I1: rejected\n{}", rig.story());
    let (primary, fallback) = (rig.primary.hub.account(), rig.fallback.hub.account());
    let [at_primary, at_fallback] = [&primary, &fallback].map(|account| &account.copies[signal.index()]);
    let delivered = |id: &u64| at_primary.contains_key(id) || !expected.at_primary && at_fallback.contains_key(id);
    let missing: Vec<u64> = load.acked_items(signal).filter(|id| !delivered(id)).collect();
    drop((primary, fallback));
    if !expected.dead_letters {
        assert_eq!(books.dead_total(), 0, "I1: dead letters\n{}", rig.story());
    }
    if expected.settled {
        assert_eq!(books.queued - books.parked, 0, "I1: queued\n{}", rig.story());
    }
    let kept = books.queued + books.dead_total();
    assert!(missing.len() as u64 <= kept, "I1: {signal} {} of {missing:?} are nowhere\n{}", missing.len(), rig.story());
}

/// I2: a hub has what clients sent, as they sent it.
fn nothing_is_invented(rig: &Rig, place: &Place, load: &Load, signal: Signal) {
    let account = place.hub.account();
    let invented: Vec<u64> =
        account.copies[signal.index()].keys().filter(|id| !load.sent(signal, **id)).copied().collect();
    let altered = account.altered.clone();
    drop(account);
    assert!(invented.is_empty(), "I2: invented {invented:?}\n{}", rig.story());
    assert!(altered.is_empty(), "I2: altered {altered:?}\n{}", rig.story());
}

/// I3: repeats only of what a hub may have had without saying so, and few of those.
fn few_duplicates(rig: &Rig, load: &Load, times: u32) {
    let snapshot = rig.app.deliver().snapshot();
    let broken = snapshot.duplicate_sends;
    assert!(broken <= BROKEN * u64::from(times), "I3: {broken} sends repeat what may have arrived\n{}", rig.story());
    let duplicates = rig.primary.hub.duplicates() + rig.fallback.hub.duplicates();
    let most = broken * load.per_request;
    assert!(duplicates <= most, "I3: {duplicates} duplicates, {most} explained\n{}", rig.story());
}

/// I4: the books balance, in themselves, against the recount, and against what clients were told.
async fn books_balance(rig: &Rig, load: &Load, signal: Signal) {
    let recount = rig.app.queue().recount().await.unwrap()[signal.index()];
    assert_eq!(recount.imbalance(), 0, "I4: {recount:?}\n{}", rig.story());
    let (accepted, acked) = (rig.books(signal).accepted, load.acked_items(signal).count() as u64);
    let sent = load.sent_items(signal);
    assert!(acked <= accepted && accepted <= sent, "I4: {signal} {acked} acked, {accepted} accepted, {sent} sent");
}

/// I5: each producer's metrics arrive in its order, at each hub.
pub(crate) fn in_order(place: &Place, story: impl Fn() -> String) {
    let order = place.hub.account().order[Signal::Metrics.index()].clone();
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for id in order {
        let before = last.insert(Load::producer(id), id);
        assert!(before.is_none_or(|before| before < id), "I5: {id} came after {before:?}\n{}", story());
    }
}

/// I8: panics in the gateway's own code, wherever they were caught, since the first call.
pub(crate) fn gateway_panics() -> u64 {
    static PANICS: AtomicU64 = AtomicU64::new(0);
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(u64::from(info.location().is_some_and(|at| at.file().starts_with("src/"))), Relaxed);
            before(info);
        }));
    });
    PANICS.load(Relaxed)
}
