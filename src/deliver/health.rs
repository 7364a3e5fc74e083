//! A target's health, from probes and traffic. Pure; the task that sends the probes is [`prober`](super::prober).
//!
//! What real traffic shows counts first: a batch that was taken makes a target healthy whatever its probes say.

use std::time::Duration;

use super::chain::Standing;
use super::jitter::Jitter;
use crate::config::HealthConfig;
use crate::target;

/// Time between probes while something is wrong.
const UNHEALTHY_INTERVAL: Duration = Duration::from_secs(5);

/// Spread of the time between probes.
const SPREAD: f64 = 0.2;

/// See the module.
#[derive(Debug)]
pub struct Health {
    config: HealthConfig,
    standing: Standing,
    /// Results in a row that contradict the standing.
    contrary: u32,
    first: bool,
}

impl Health {
    /// Nothing is known yet; the first result decides at once.
    pub fn new(config: &HealthConfig) -> Health {
        Health { config: config.clone(), standing: Standing::Unknown, contrary: 0, first: true }
    }

    /// What is known.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Hears of a probe. An answer that says neither up nor down shows at least that somebody answers: it ends a row of failures
    /// and moves nothing else.
    pub fn probed(&mut self, result: &target::Health) {
        let (means, needed) = match result {
            target::Health::Up => (Standing::Up, self.config.healthy_after),
            target::Health::Down(_) => (Standing::Down, self.config.unhealthy_after),
            target::Health::Unknown => {
                self.contrary = 0;
                if self.standing == Standing::Down {
                    self.standing = Standing::Unknown;
                }
                return;
            }
        };
        if means == self.standing {
            self.contrary = 0;
            return;
        }
        self.contrary += 1;
        // From unknown to up nothing has to be made good.
        let at_once = self.first || (self.standing == Standing::Unknown && means == Standing::Up);
        if at_once || self.contrary >= needed {
            (self.standing, self.contrary) = (means, 0);
        }
        self.first = false;
    }

    /// A real batch was taken.
    pub fn delivered(&mut self) {
        (self.standing, self.contrary, self.first) = (Standing::Up, 0, false);
    }

    /// Time until the next probe; `calm`: the breaker is closed and nothing fails.
    pub fn next_probe(&self, calm: bool, jitter: &mut Jitter) -> Duration {
        let well = calm && self.standing != Standing::Down && self.contrary == 0;
        let interval = self.config.interval;
        jitter.around(if well { interval } else { interval.min(UNHEALTHY_INTERVAL) }, SPREAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> Health {
        Health::new(&HealthConfig::default())
    }

    fn down() -> target::Health {
        target::Health::Down("no route".to_owned())
    }

    /// Probes that fail and succeed in rows of different lengths.
    /// Guarantees: the first result decides at once, three failures make it down, two successes make it up.
    #[test]
    fn rows_decide_and_the_first_at_once() {
        let mut health = health();
        assert_eq!(health.standing(), Standing::Unknown);
        health.probed(&down());
        assert_eq!(health.standing(), Standing::Down);
        let script = [
            (target::Health::Up, Standing::Down),
            (down(), Standing::Down),
            (target::Health::Up, Standing::Down),
            (target::Health::Up, Standing::Up),
            (down(), Standing::Up),
            (down(), Standing::Up),
            (target::Health::Up, Standing::Up),
            (down(), Standing::Up),
            (down(), Standing::Up),
            (down(), Standing::Down),
        ];
        for (result, standing) in script {
            health.probed(&result);
            assert_eq!(health.standing(), standing, "{result:?}");
        }
    }

    /// Traffic that gets through although probes fail; a health service that says nothing.
    /// Guarantees that traffic counts first, and that an unknown is not down.
    #[test]
    fn traffic_counts_first() {
        let mut health = health();
        health.probed(&down());
        health.delivered();
        assert_eq!(health.standing(), Standing::Up);
        let mut health = self::health();
        health.probed(&target::Health::Unknown);
        assert_eq!(health.standing(), Standing::Unknown);
        health.probed(&down());
        health.probed(&target::Health::Unknown);
        assert_eq!(health.standing(), Standing::Unknown);
    }

    /// A healthy target, one that begins to fail, one whose breaker is open.
    /// Guarantees 10 s ± 20 % and 5 s ± 20 %.
    #[test]
    fn probes_hurry_while_something_is_wrong() {
        let (mut health, mut jitter) = (health(), Jitter::seeded(1));
        health.probed(&target::Health::Up);
        for _ in 0..100 {
            let calm = health.next_probe(true, &mut jitter);
            assert!(calm >= Duration::from_secs(8) && calm <= Duration::from_secs(12));
            assert!(health.next_probe(false, &mut jitter) <= Duration::from_secs(6));
        }
        health.probed(&down());
        assert!(health.next_probe(true, &mut jitter) <= Duration::from_secs(6));
    }
}
