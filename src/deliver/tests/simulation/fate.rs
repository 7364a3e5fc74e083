//! What a seed has in store: which gateway, which hubs, and what happens to them.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::peer::Mood;
use crate::config::WhenFull;
use crate::queue::simulation::Crash;

/// Faults fall within this time.
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// Faults of a seed, at least.
pub(super) const FAULTS: usize = 20;

/// More ends of the process, each with the same batch under way, would have it parked for good.
const ENDS: usize = 2;

#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// Hubs of these positions are so for a while.
    Hubs { first: usize, count: usize, mood: Mood, lasts: Duration },
    /// Each write and read takes so long for a while.
    SlowDisk { latency: Duration, lasts: Duration },
    /// The process ends, and another one starts after a while.
    End { how: Crash, gap: Duration },
}

#[derive(Debug)]
pub(super) struct Fate {
    /// Of each hub: what it answers after, and bytes of the largest request that it takes.
    pub(super) hubs: Vec<(Duration, usize)>,
    /// Of each fallback: whether the primary is owed what it took.
    pub(super) replayed: bool,
    /// Whether fallbacks get what had to wait, too.
    pub(super) backlog: bool,
    /// One of so many batches is refused, or never answered, by everybody.
    pub(super) refused: u64,
    pub(super) hanging: u64,
    /// Bytes that the queue may hold, if that is little, and what each signal does then.
    pub(super) quota: Option<u64>,
    pub(super) when_full: [WhenFull; 3],
    /// Age at which a signal's batches are dropped, if any is.
    pub(super) max_age: [Option<Duration>; 3],
    /// When, and what.
    pub(super) faults: Vec<(Duration, Fault)>,
}

impl Fate {
    pub(super) fn of(seed: u64) -> Fate {
        let mut random = SmallRng::seed_from_u64(seed);
        let hubs = random.random_range(1..=3);
        let refusals = random.random_bool(0.5);
        let faults = random.random_range(FAULTS..FAULTS + 15);
        let mut ends = 0;
        let faults = (0..faults).map(|_| {
            let fault = fault(&mut random, hubs, refusals, ends < ENDS);
            ends += usize::from(matches!(fault, Fault::End { .. }));
            (HOUR.mul_f64(random.random()), fault)
        });
        let mut faults: Vec<_> = faults.collect();
        faults.sort_by_key(|(at, _)| *at);
        let seldom = |random: &mut SmallRng, most| {
            if random.random_bool(0.3) { random.random_range(50..most) } else { u64::MAX }
        };
        let limits = random.random_bool(0.3);
        let takes = |random: &mut SmallRng| {
            if limits && random.random_bool(0.7) { random.random_range(64..200) << 10 } else { usize::MAX }
        };
        Fate {
            hubs: (0..hubs).map(|_| (millis(&mut random, 1..80), takes(&mut random))).collect(),
            replayed: random.random_bool(0.7),
            backlog: random.random_bool(0.7),
            refused: if refusals { seldom(&mut random, 500) } else { u64::MAX },
            hanging: seldom(&mut random, 900),
            quota: random.random_bool(0.4).then(|| random.random_range(250..1200) << 10),
            when_full: [(); 3].map(|()| when_full(&mut random)),
            max_age: if random.random_bool(0.4) { [(); 3].map(|()| max_age(&mut random)) } else { [None; 3] },
            faults,
        }
    }

    /// Whether somebody refuses what nothing is wrong with, for which no order and no verdict can be promised.
    pub(super) fn has_refusals(&self) -> bool {
        let refusal = |fault: &Fault| matches!(fault, Fault::Hubs { mood: Mood::Says(400 | 401 | 500, _), .. });
        self.refused < u64::MAX
            || self.hubs.iter().any(|(_, takes)| *takes < usize::MAX)
            || self.faults.iter().any(|(_, fault)| refusal(fault))
    }
}

fn fault(random: &mut SmallRng, hubs: usize, refusals: bool, ends: bool) -> Fault {
    // From a third of a second to six minutes, short ones as often as long ones.
    let lasts = Duration::from_secs_f64(0.3 * 1200f64.powf(random.random()));
    match random.random_range(0..20) {
        0 if ends => Fault::End { how: Crash::Process, gap: millis(random, 100..20_000) },
        1 if ends => Fault::End { how: Crash::Power { seed: random.random() }, gap: millis(random, 100..20_000) },
        2 | 3 => Fault::SlowDisk { latency: millis(random, 50..4000), lasts },
        _ => {
            let first = random.random_range(0..hubs);
            let count = if random.random_bool(0.3) { hubs } else { 1 };
            Fault::Hubs { first, count, mood: mood(random, refusals), lasts }
        }
    }
}

fn mood(random: &mut SmallRng, refusals: bool) -> Mood {
    let delay = random.random_bool(0.5).then(|| random.random_range(1..60));
    match random.random_range(0..if refusals { 10 } else { 7 }) {
        0 => Mood::Refuses,
        1 => Mood::Silent,
        2 => Mood::Breaks { arrived: false },
        3 => Mood::Breaks { arrived: true },
        4 => Mood::Says(503, delay),
        5 => Mood::Says(429, delay),
        6 => Mood::Slow(random.random_range(1..20)),
        7 => Mood::Says(400, None),
        8 => Mood::Says(401, None),
        _ => Mood::Says(500, None),
    }
}

fn when_full(random: &mut SmallRng) -> WhenFull {
    if random.random_bool(0.6) { WhenFull::DropOldest } else { WhenFull::Backpressure }
}

/// From half a minute to half an hour, short ones as often as long ones.
fn max_age(random: &mut SmallRng) -> Option<Duration> {
    random.random_bool(0.7).then(|| Duration::from_secs_f64(30.0 * 60f64.powf(random.random())))
}

fn millis(random: &mut SmallRng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(random.random_range(range))
}
