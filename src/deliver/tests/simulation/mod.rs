//! The whole delivery side in a simulation: its real code over a queue on a disk in memory, with a network, hubs, clients and a
//! clock that are made up. A seed decides everything that happens in it, so that a failure can be played again.
//!
//! `SPILLWAY_SIMULATION=17,39` plays those seeds alone; `SPILLWAY_SIMULATIONS=100000` plays that many, another release's worth.

mod fate;
mod gone;
mod load;
mod oracle;
mod peer;
mod world;

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use self::fate::Fate;
use self::world::{Played, World};

/// Seeds that are played with every change.
const SEEDS: u64 = 100;

/// Plays one seed, and checks it.
fn play(seed: u64) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async { World::new(seed, Fate::of(seed)).play().await })
}

fn numbers(variable: &str) -> Option<Vec<u64>> {
    let text = std::env::var(variable).ok()?;
    Some(text.split(',').map(|number| number.trim().parse().expect("a number")).collect())
}

/// An hour of load on gateways with one to three hubs, some with a small queue and some where batches grow too old, while networks
/// break, hubs die, hang, throttle and refuse, the disk is slow and the process or the machine ends: 20 faults or more a seed.
/// Guarantees that nothing is lost but what is too old or too much and may be dropped, counted by its reason, that nothing is
/// invented or altered, that repeats can be told, that the books balance, that metrics keep their order, and that the queue
/// empties once all is well.
#[test]
fn whatever_happens() {
    let count = numbers("SPILLWAY_SIMULATIONS").map_or(SEEDS, |numbers| numbers[0]);
    let seeds = numbers("SPILLWAY_SIMULATION").unwrap_or_else(|| (0..count).collect());
    let (next, outcomes) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Relaxed) as usize) {
                    let played = catch_unwind(|| play(*seed)).map_err(|_| *seed);
                    outcomes.lock().unwrap().push(played);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    let failed: Vec<u64> = outcomes.iter().filter_map(|played| played.err()).collect();
    assert!(failed.is_empty(), "play them again with SPILLWAY_SIMULATION={failed:?}");
    let sum = |what: fn(&Played) -> u64| outcomes.iter().flatten().map(what).sum::<u64>();
    let sums = [
        sum(|played| played.merged),
        sum(|played| played.full),
        sum(|played| played.aged),
        sum(|played| played.released),
    ];
    let enough = |sum| seeds.len() < SEEDS as usize || sum >= seeds.len() as u64;
    assert!(sums.into_iter().all(enough), "joined requests, items dropped for space, for age, released: {sums:?}");
}

/// The same seeds played twice, and others.
/// Guarantees that one seed gives one result, to the millisecond, and another seed another.
#[test]
fn one_seed_gives_one_result() {
    for seed in 0..4 {
        let once = play(seed);
        assert_eq!(once, play(seed), "seed {seed}");
        assert_ne!(once, play(seed + 1000), "seed {seed}");
    }
}
