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
