//! The circuit breaker of a target: a pure state machine that is told outcomes and the time.
//!
//! `closed → open → half-open → ramping → closed`, and by hand forced open or forced closed. It sends nothing, spawns nothing,
//! reads no clock and knows neither batches nor signals. Outcomes carry the generation in which their call was admitted; those of
//! a generation that is over are ignored.

use std::time::Duration;

use tokio::time::Instant;

use super::jitter::Jitter;
use super::snapshot::BreakerState;
use super::window::Window;
use crate::config::BreakerConfig;

/// Share of the last good concurrency with which a ramp starts.
const RAMP_START: f64 = 0.1;

/// Healthy time after which the memory of one trip fades.
const FADE: Duration = Duration::from_secs(60);

/// Leave to make one call. It has to come back through [`Breaker::report`] or [`Breaker::cancel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    generation: u64,
    /// Whether the call tries out a target that was away: the only one under way there.
    pub trial: bool,
}

/// How a call with a real batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The target took it.
    Success,
    /// The target failed; the delay is the server's, already capped.
    Failure(Option<Duration>),
    /// It says nothing about the target: throttled, or the batch itself was at fault.
    Neutral,
}

/// What a health probe told, and in which circumstances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probed {
    /// [`Breaker::generation`] when it was sent.
    pub generation: u64,
    /// Whether the target answered well.
    pub ok: bool,
    /// Whether the target counts as healthy with this answer.
    pub up: bool,
    /// Whether no batch waits for this target: only then may probes alone close the breaker.
    pub idle: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Breaker {
    config: BreakerConfig,
    jitter: Jitter,
    phase: Phase,
    /// Rises with every change of phase.
    generation: u64,
    /// How often the open time has doubled.
    doublings: u32,
    /// Whether an answered probe may end the open time: not after a real batch failed where a probe had just succeeded.
    probes_believed: bool,
}

#[derive(Debug)]
enum Phase {
    Closed { since: Instant, ramp: Option<Instant>, failures: u32, window: Window },
    Open { until: Instant, floor: Instant },
    HalfOpen { successes: u32, real: bool, busy: bool, by_probe: bool },
    ForcedOpen,
    ForcedClosed,
}

impl Breaker {
    /// A closed breaker without memory.
    pub fn new(config: &BreakerConfig, jitter: Jitter, now: Instant) -> Breaker {
        let phase = Phase::Closed { since: now, ramp: None, failures: 0, window: Window::new(config.window, now) };
        Breaker { config: config.clone(), jitter, phase, generation: 0, doublings: 0, probes_believed: true }
    }

    /// The state as people see it.
    pub fn state(&self, now: Instant) -> BreakerState {
        match &self.phase {
            Phase::Closed { ramp: Some(from), .. } if now < *from + self.config.ramp => BreakerState::Ramping,
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { .. } => BreakerState::Open,
            Phase::HalfOpen { .. } => BreakerState::HalfOpen,
            Phase::ForcedOpen => BreakerState::ForcedOpen,
            Phase::ForcedClosed => BreakerState::ForcedClosed,
        }
    }

    /// The generation of now, for a probe to carry.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// When an open breaker lets the next trial through.
    pub fn reopens_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Open { until, .. } => Some(until),
            _ => None,
        }
    }

    /// How many requests may be in flight when `limit` may be in good times: 1 in a trial, a growing share in the ramp.
    pub fn capacity(&self, now: Instant, limit: usize) -> usize {
        match &self.phase {
            Phase::Closed { .. } => ((limit as f64 * self.share(now)) as usize).clamp(1, limit.max(1)),
            Phase::ForcedClosed => limit.max(1),
            Phase::HalfOpen { .. } | Phase::Open { .. } => 1,
            Phase::ForcedOpen => 0,
        }
    }

    /// What the ramp allows of the traffic of good times: from a tenth to all of it.
    pub fn share(&self, now: Instant) -> f64 {
        let Phase::Closed { ramp: Some(from), .. } = &self.phase else { return 1.0 };
        let passed = now.saturating_duration_since(*from).as_secs_f64();
        let share = RAMP_START + (1.0 - RAMP_START) * passed / self.config.ramp.as_secs_f64().max(f64::EPSILON);
        share.min(1.0)
    }

    /// Asks for leave to send one batch. An open breaker whose time is over becomes half-open with that.
    pub fn admit(&mut self, now: Instant) -> Option<Permit> {
        if let Phase::Open { until, .. } = self.phase
            && now >= until
        {
            self.half_open(0, false);
        }
        let trial = match &mut self.phase {
            Phase::Closed { .. } | Phase::ForcedClosed => false,
            Phase::HalfOpen { busy, .. } if !*busy => {
                *busy = true;
                true
            }
            Phase::HalfOpen { .. } | Phase::Open { .. } | Phase::ForcedOpen => return None,
        };
        Some(Permit { generation: self.generation, trial })
    }

    /// Takes a permit back with what came of it.
    pub fn report(&mut self, now: Instant, permit: Permit, outcome: Outcome) {
        if permit.generation != self.generation {
            return;
        }
        match &mut self.phase {
            Phase::Closed { failures, window, .. } => match outcome {
                Outcome::Success => {
                    *failures = 0;
                    window.count(now, false);
                }
                Outcome::Failure(delay) => {
                    *failures = failures.saturating_add(1);
                    window.count(now, true);
                    let (calls, failed) = window.sums(now);
                    let row = *failures >= self.config.consecutive_failures;
                    let share = f64::from(failed) >= self.config.failure_ratio * f64::from(calls);
                    if row || (calls >= self.config.min_calls && share) {
                        self.open(now, delay);
                    }
                }
                Outcome::Neutral => {}
            },
            Phase::HalfOpen { successes, real, busy, by_probe } => {
                *busy = false;
                match outcome {
                    Outcome::Success => {
                        *successes += 1;
                        *real = true;
                        self.close_if_proven(now, false);
                    }
                    Outcome::Failure(delay) => {
                        self.probes_believed &= !*by_probe;
                        self.open(now, delay);
                    }
                    Outcome::Neutral => {}
                }
            }
            Phase::Open { .. } | Phase::ForcedOpen | Phase::ForcedClosed => {}
        }
    }

    /// Takes a permit back that was not used.
    pub fn cancel(&mut self, permit: Permit) {
        if let Phase::HalfOpen { busy, .. } = &mut self.phase
            && permit.generation == self.generation
        {
            *busy = false;
        }
    }

    /// Hears of a health probe. One that finds the target up may end the open time, though never a server's delay; in a trial
    /// probes count, but close the breaker alone only when nothing waits.
    pub fn probed(&mut self, now: Instant, probe: Probed) {
        if probe.generation != self.generation {
            return;
        }
        match &mut self.phase {
            Phase::Open { floor, .. } if probe.ok && probe.up && self.probes_believed && now >= *floor => {
                self.half_open(1, true);
                self.close_if_proven(now, probe.idle);
            }
            Phase::HalfOpen { successes, .. } if probe.ok => {
                *successes = successes.saturating_add(1);
                self.close_if_proven(now, probe.idle);
            }
            // A batch that got through outweighs a probe that did not.
            Phase::HalfOpen { real: false, .. } => self.open(now, None),
            _ => {}
        }
    }

    /// Starts the ramp over: traffic comes back to a target that was left with its breaker closed, or closed it long ago.
    pub fn ramp(&mut self, now: Instant) {
        if let Phase::Closed { ramp, .. } = &mut self.phase {
            *ramp = Some(now);
        }
    }

    /// Opens it by hand, until [`Breaker::release`].
    pub fn force_open(&mut self) {
        self.enter(Phase::ForcedOpen);
    }

    /// Closes it by hand, until [`Breaker::release`].
    pub fn force_closed(&mut self) {
        self.enter(Phase::ForcedClosed);
    }

    /// Ends a forced state: what was forced open has to prove itself, what was forced closed stays closed.
    pub fn release(&mut self, now: Instant) {
        match self.phase {
            Phase::ForcedOpen => self.half_open(0, false),
            Phase::ForcedClosed => self.close(now, None),
            _ => {}
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.generation += 1;
        self.phase = phase;
    }

    fn half_open(&mut self, successes: u32, by_probe: bool) {
        self.enter(Phase::HalfOpen { successes, real: false, busy: false, by_probe });
    }

    fn close(&mut self, now: Instant, ramp: Option<Instant>) {
        let window = Window::new(self.config.window, now);
        self.enter(Phase::Closed { since: now, ramp, failures: 0, window });
    }

    fn close_if_proven(&mut self, now: Instant, idle: bool) {
        if let Phase::HalfOpen { successes, real, .. } = self.phase
            && successes >= self.config.half_open_successes
            && (real || idle)
        {
            self.probes_believed = true;
            self.close(now, Some(now));
        }
    }

    /// Opens for a time that doubles from trip to trip and fades one doubling per healthy minute, so that a target that
    /// flaps is not met with a short memory.
    fn open(&mut self, now: Instant, delay: Option<Duration>) {
        if let Phase::Closed { since, .. } = self.phase {
            let healthy = now.saturating_duration_since(since).as_secs() / FADE.as_secs();
            self.doublings = self.doublings.saturating_sub(u32::try_from(healthy).unwrap_or(u32::MAX));
        }
        let factor = 1u32.checked_shl(self.doublings).unwrap_or(u32::MAX);
        let longest = self.config.max_open_for.max(self.config.open_for);
        let time = self.config.open_for.saturating_mul(factor).min(longest);
        if time < longest {
            self.doublings += 1;
        }
        let floor = now + delay.unwrap_or_default();
        let until = floor.max(now + self.jitter.equal(time));
        self.enter(Phase::Open { until, floor });
    }
}

#[cfg(test)]
mod tests;
