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
            Phase::Closed { ramp: Some(from), .. } => {
                let passed = now.saturating_duration_since(*from).as_secs_f64();
                let share = RAMP_START + (1.0 - RAMP_START) * passed / self.config.ramp.as_secs_f64().max(f64::EPSILON);
                ((limit as f64 * share.min(1.0)) as usize).clamp(1, limit.max(1))
            }
            Phase::Closed { .. } | Phase::ForcedClosed => limit.max(1),
            Phase::HalfOpen { .. } | Phase::Open { .. } => 1,
            Phase::ForcedOpen => 0,
        }
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker() -> (Breaker, Instant) {
        let now = Instant::now();
        (Breaker::new(&BreakerConfig::default(), Jitter::off(), now), now)
    }

    fn call(breaker: &mut Breaker, now: Instant, outcome: Outcome) {
        let permit = breaker.admit(now).expect("admitted");
        breaker.report(now, permit, outcome);
    }

    fn trip(breaker: &mut Breaker, now: Instant) {
        for _ in 0..5 {
            call(breaker, now, Outcome::Failure(None));
        }
        assert_eq!(breaker.state(now), BreakerState::Open);
    }

    fn recover(breaker: &mut Breaker, now: Instant) {
        for _ in 0..3 {
            call(breaker, now, Outcome::Success);
        }
        assert_eq!(breaker.state(now), BreakerState::Ramping);
    }

    fn open_time(breaker: &Breaker, now: Instant) -> Duration {
        breaker.reopens_at().expect("open") - now
    }

    /// Failures in a row, with a success or a throttle in between.
    /// Guarantees that five in a row open it, that a success starts the row over and a throttle does not.
    #[test]
    fn five_failures_in_a_row_open_it() {
        let (mut breaker, now) = breaker();
        for outcome in [Outcome::Failure(None); 4].into_iter().chain([Outcome::Success]) {
            call(&mut breaker, now, outcome);
        }
        for _ in 0..4 {
            call(&mut breaker, now, Outcome::Failure(None));
            call(&mut breaker, now, Outcome::Neutral);
        }
        assert_eq!(breaker.state(now), BreakerState::Closed);
        call(&mut breaker, now, Outcome::Failure(None));
        assert_eq!(breaker.state(now), BreakerState::Open);
        assert_eq!(breaker.admit(now + 4 * SECOND), None);
        assert_eq!(open_time(&breaker, now), 5 * SECOND);
    }

    /// Every second call fails, never five in a row.
    /// Guarantees that half of ten calls within the window open it, and that calls older than the window do not count.
    #[test]
    fn half_of_ten_calls_open_it() {
        let (mut breaker, now) = breaker();
        for step in 0..9u32 {
            let outcome = if step.is_multiple_of(2) { Outcome::Failure(None) } else { Outcome::Success };
            call(&mut breaker, now, outcome);
        }
        let later = now + 40 * SECOND;
        call(&mut breaker, later, Outcome::Failure(None));
        assert_eq!(breaker.state(later), BreakerState::Closed);
        for _ in 0..4 {
            call(&mut breaker, later, Outcome::Success);
            call(&mut breaker, later, Outcome::Failure(None));
        }
        assert_eq!(breaker.state(later), BreakerState::Closed);
        call(&mut breaker, later, Outcome::Failure(None));
        assert_eq!(breaker.state(later), BreakerState::Open);
    }

    /// A trip, then trials.
    /// Guarantees one permit at a time, three successes to close, and a ramp from 10 % to all within a minute.
    #[test]
    fn one_trial_at_a_time_then_the_ramp() {
        let (mut breaker, now) = breaker();
        trip(&mut breaker, now);
        let now = now + 5 * SECOND;
        let permit = breaker.admit(now).expect("the trial");
        assert!(permit.trial);
        assert_eq!((breaker.state(now), breaker.admit(now)), (BreakerState::HalfOpen, None));
        breaker.cancel(permit);
        recover(&mut breaker, now);
        assert_eq!(breaker.capacity(now, 20), 2);
        assert_eq!(breaker.capacity(now + 30 * SECOND, 20), 11);
        assert_eq!(breaker.capacity(now + 60 * SECOND, 20), 20);
        assert_eq!(breaker.state(now + 60 * SECOND), BreakerState::Closed);
    }

    /// Failed trials one after another, then recovery and trips after some healthy minutes.
    /// Guarantees 5 s doubling to 300 s, and a memory that fades one step a healthy minute instead of being reset.
    #[test]
    fn open_time_doubles_and_fades() {
        let (mut breaker, mut now) = breaker();
        trip(&mut breaker, now);
        for seconds in [5, 10, 20, 40, 80, 160, 300, 300] {
            assert_eq!(open_time(&breaker, now), seconds * SECOND);
            now = breaker.reopens_at().expect("open");
            call(&mut breaker, now, Outcome::Failure(None));
        }
        now = breaker.reopens_at().expect("open");
        recover(&mut breaker, now);
        now += 150 * SECOND;
        trip(&mut breaker, now);
        assert_eq!(open_time(&breaker, now), 80 * SECOND);
    }

    /// A server that asks for more time than the breaker would give, and one that asks for less.
    /// Guarantees that the open time is never shorter than the server's delay, whatever a probe says.
    #[test]
    fn the_servers_delay_is_a_floor() {
        let (mut breaker, now) = breaker();
        for _ in 0..5 {
            call(&mut breaker, now, Outcome::Failure(Some(60 * SECOND)));
        }
        assert_eq!(open_time(&breaker, now), 60 * SECOND);
        let probe = Probed { generation: breaker.generation(), ok: true, up: true, idle: false };
        breaker.probed(now + 59 * SECOND, probe);
        assert_eq!(breaker.state(now), BreakerState::Open);
        breaker.probed(now + 60 * SECOND, probe);
        assert_eq!(breaker.state(now), BreakerState::HalfOpen);
    }

    /// Answers that belong to calls from before the trip arrive in the trial.
    /// Guarantees that they change nothing.
    #[test]
    fn late_answers_of_the_time_before_are_ignored() {
        let (mut breaker, now) = breaker();
        let late: Vec<Permit> = (0..9).map(|_| breaker.admit(now).expect("closed")).collect();
        let probe = breaker.generation();
        trip(&mut breaker, now);
        let now = now + 5 * SECOND;
        let permit = breaker.admit(now).expect("the trial");
        for (index, permit) in late.into_iter().enumerate() {
            let outcome = if index < 5 { Outcome::Success } else { Outcome::Failure(None) };
            breaker.report(now, permit, outcome);
        }
        breaker.probed(now, Probed { generation: probe, ok: true, up: true, idle: true });
        assert_eq!((breaker.state(now), breaker.admit(now)), (BreakerState::HalfOpen, None));
        breaker.report(now, permit, Outcome::Failure(None));
        assert_eq!(breaker.state(now), BreakerState::Open);
    }

    /// Probes succeed while batches wait, while none waits, and while real batches fail.
    /// Guarantees that probes alone close only an idle breaker, and that a probe which was belied shortens nothing any more.
    #[test]
    fn probes_close_it_only_when_idle() {
        let (mut breaker, now) = breaker();
        let probe = |breaker: &Breaker, idle| Probed { generation: breaker.generation(), ok: true, up: true, idle };
        trip(&mut breaker, now);
        for _ in 0..9 {
            let probe = probe(&breaker, false);
            breaker.probed(now, probe);
        }
        assert_eq!(breaker.state(now), BreakerState::HalfOpen);
        let idle = probe(&breaker, true);
        breaker.probed(now, idle);
        assert_eq!(breaker.state(now), BreakerState::Ramping);
        trip(&mut breaker, now);
        let shortens = probe(&breaker, false);
        breaker.probed(now, shortens);
        call(&mut breaker, now, Outcome::Failure(None));
        let belied = probe(&breaker, true);
        breaker.probed(now, belied);
        assert_eq!(breaker.state(now), BreakerState::Open);
    }

    /// Forced by hand, and released.
    /// Guarantees that no outcome moves a forced breaker, and where it goes when it is let go.
    #[test]
    fn forced_states_hold_until_released() {
        let (mut breaker, now) = breaker();
        breaker.force_open();
        assert_eq!((breaker.admit(now), breaker.capacity(now, 9)), (None, 0));
        breaker.release(now);
        assert_eq!(breaker.state(now), BreakerState::HalfOpen);
        breaker.force_closed();
        for _ in 0..50 {
            call(&mut breaker, now, Outcome::Failure(None));
        }
        assert_eq!(breaker.state(now), BreakerState::ForcedClosed);
        breaker.release(now);
        assert_eq!(breaker.state(now), BreakerState::Closed);
    }

    #[derive(Debug, Clone)]
    enum Act {
        Wait(u16),
        Admit,
        Report(usize, u8, u16),
        Cancel(usize),
        Probe(bool, bool, bool, bool),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            (0..20_000u16).prop_map(Act::Wait),
            Just(Act::Admit),
            Just(Act::Admit),
            (any::<usize>(), 0..4u8, 0..30_000u16).prop_map(|(which, kind, delay)| Act::Report(which, kind, delay)),
            any::<usize>().prop_map(Act::Cancel),
            any::<(bool, bool, bool, bool)>().prop_map(|(ok, up, idle, fresh)| Act::Probe(ok, up, idle, fresh)),
        ];
        proptest::collection::vec(act, 1..400)
    }

    proptest! {
        /// Any order of calls, answers, late answers, probes and pauses.
        /// Guarantees: one trial in flight at most; no call while open; open within its bounds; closed again only after enough
        /// successes of which one was real, unless idle; answers of an older generation change nothing.
        #[test]
        fn whatever_happens(seed: u64, acts in acts()) {
            let config = BreakerConfig::default();
            let mut now = Instant::now();
            let mut breaker = Breaker::new(&config, Jitter::seeded(seed), now);
            let mut out: Vec<Permit> = Vec::new();
            let (mut successes, mut real, mut idle_close, mut asked) = (0, false, false, now);
            for act in acts {
                let (before, generation) = (breaker.state(now), breaker.generation());
                match act {
                    Act::Wait(millis) => now += Duration::from_millis(millis.into()),
                    Act::Admit => {
                        let until = breaker.reopens_at();
                        let permit = breaker.admit(now);
                        prop_assert!(permit.is_none() || until.is_none_or(|until| now >= until));
                        if breaker.state(now) == BreakerState::HalfOpen && before == BreakerState::Open {
                            (successes, real) = (0, false);
                        }
                        out.extend(permit);
                    }
                    Act::Report(which, kind, delay) if !out.is_empty() => {
                        let permit = out.swap_remove(which % out.len());
                        let delay = (kind == 3).then(|| Duration::from_millis(delay.into()));
                        let outcome = match kind {
                            0 => Outcome::Success,
                            1 => Outcome::Neutral,
                            _ => Outcome::Failure(delay),
                        };
                        breaker.report(now, permit, outcome);
                        let stale = permit.generation != generation;
                        prop_assert!(!stale || breaker.generation() == generation);
                        if !stale && outcome == Outcome::Success && before == BreakerState::HalfOpen {
                            successes += 1;
                            real = true;
                        }
                        asked = if stale { asked } else { now + delay.unwrap_or_default() };
                    }
                    Act::Cancel(which) if !out.is_empty() => {
                        breaker.cancel(out.swap_remove(which % out.len()));
                    }
                    Act::Probe(ok, up, idle, fresh) => {
                        let sent = if fresh { generation } else { generation.wrapping_sub(1) };
                        breaker.probed(now, Probed { generation: sent, ok, up, idle });
                        if ok && fresh {
                            successes = if before == BreakerState::Open { 1 } else { successes + 1 };
                            real &= before != BreakerState::Open;
                            idle_close = idle;
                        }
                        asked = if before == BreakerState::HalfOpen { now } else { asked };
                    }
                    _ => {}
                }
                let after = breaker.state(now);
                let trials = out.iter().filter(|permit| permit.trial && permit.generation == breaker.generation());
                prop_assert!(trials.count() <= 1);
                if let Some(until) = breaker.reopens_at().filter(|_| before != BreakerState::Open) {
                    let time = until - now;
                    prop_assert!(until >= asked && time >= config.open_for / 2);
                    prop_assert!(time <= config.max_open_for.max(asked.saturating_duration_since(now)));
                }
                if after == BreakerState::Ramping && matches!(before, BreakerState::HalfOpen | BreakerState::Open) {
                    prop_assert!(successes >= config.half_open_successes && (real || idle_close));
                }
            }
        }
    }
}
