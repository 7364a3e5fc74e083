//! Randomness for waits: a generator with a seed, or none, so that a test or a simulation is exact.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// Spreads waits, so that the gateways of many clusters do not knock at a hub in step.
#[derive(Debug, Clone)]
pub struct Jitter(Option<SmallRng>);

impl Jitter {
    /// No spread: every wait is what was asked for.
    pub const fn off() -> Jitter {
        Jitter(None)
    }

    /// The same waits for the same seed.
    pub fn seeded(seed: u64) -> Jitter {
        Jitter(Some(SmallRng::seed_from_u64(seed)))
    }

    /// Waits that nobody can foretell.
    pub fn random() -> Jitter {
        Jitter(Some(rand::make_rng()))
    }

    /// A generator of its own for another user, derived from this one.
    pub fn fork(&mut self) -> Jitter {
        Jitter(self.0.as_mut().map(|rng| SmallRng::seed_from_u64(rng.random())))
    }

    /// Equal jitter: half of `wait` for certain, the other half drawn.
    pub fn equal(&mut self, wait: Duration) -> Duration {
        match &mut self.0 {
            Some(rng) => wait / 2 + (wait / 2).mul_f64(rng.random::<f64>()),
            None => wait,
        }
    }

    /// A draw from `wait × (1 ± factor)`; `factor` in 0 to 1.
    pub fn around(&mut self, wait: Duration, factor: f64) -> Duration {
        match &mut self.0 {
            Some(rng) => wait.mul_f64(1.0 + factor.clamp(0.0, 1.0) * (2.0 * rng.random::<f64>() - 1.0)),
            None => wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Many draws of both kinds.
    /// Guarantees the documented range, wide enough that gateways do not knock in step, and that one seed gives one sequence.
    #[test]
    fn draws_stay_in_range_and_repeat_with_the_seed() {
        let wait = Duration::from_secs(10);
        let (mut one, mut other) = (Jitter::seeded(7), Jitter::seeded(7));
        let (mut equals, mut arounds) = (Vec::new(), Vec::new());
        for _ in 0..1000 {
            let (equal, around) = (one.equal(wait), one.around(wait, 0.2));
            assert_eq!((equal, around), (other.equal(wait), other.around(wait, 0.2)));
            equals.push(equal.as_secs_f64());
            arounds.push(around.as_secs_f64());
        }
        for (mut draws, range) in [(equals, [5.0, 10.0]), (arounds, [8.0, 12.0])] {
            draws.sort_by(f64::total_cmp);
            let (least, most) = (draws[0], draws[999]);
            assert!(range[0] <= least && most <= range[1], "{least} to {most}");
            assert!(most - least > 0.9 * (range[1] - range[0]), "{least} to {most}");
        }
        assert_eq!(one.fork().equal(wait), other.fork().equal(wait));
        assert_eq!((Jitter::off().equal(wait), Jitter::off().around(wait, 0.5)), (wait, wait));
    }
}
