use super::*;
use crate::config::{MergeConfig, NetworkConfig, Protocol, TargetAuth, TargetKind, TlsConfig};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

/// A network target with the documented defaults, but for merging: most tests count requests.
pub(crate) fn config(name: &str) -> TargetConfig {
    let network = NetworkConfig {
        protocol: Protocol::OtlpGrpc,
        endpoints: [(); 3].map(|()| "http://127.0.0.1:4317".to_owned()),
        accepts: Vec::new(),
        timeout: 10 * SECOND,
        headers: Vec::new(),
        auth: TargetAuth::default(),
        proxy_url: None,
        tls: TlsConfig::default(),
        connections: 1,
        merge: MergeConfig { below: 0, up_to: 0 },
    };
    TargetConfig::new(name, TargetKind::Network(network))
}

fn state() -> (TargetState, Instant) {
    let now = Instant::now();
    (TargetState::new(&config("hub"), ReplayRate::Auto, Jitter::off(), now), now)
}

fn ask(signal: Signal) -> Ask {
    Ask { signal, fresh: true, backlog: true, paced: true }
}

fn report(effect: Effect) -> Report {
    Report { effect, delay: None }
}

/// One request that takes a millisecond.
fn call(state: &mut TargetState, now: &mut Instant, effect: Effect) {
    let slot = state.admit(*now, ask(Signal::Logs)).expect("admitted");
    *now += MILLI;
    state.report(*now, &slot, report(effect));
}

fn grown(state: &mut TargetState, now: &mut Instant, limit: usize) {
    while state.concurrency(*now) < limit {
        let free = state.concurrency(*now) - state.in_flight();
        let slots: Vec<Slot> = (0..free).map(|_| state.admit(*now, ask(Signal::Logs)).expect("free")).collect();
        *now += MILLI;
        slots.iter().for_each(|slot| state.report(*now, slot, report(Effect::Success)));
    }
}

/// Failures one after another, then a success.
/// Guarantees waits of 0.5 s, × 1.5, one request at a time meanwhile, and none of it after the success.
#[test]
fn failures_are_followed_by_growing_waits() {
    let (mut state, mut now) = state();
    grown(&mut state, &mut now, 4);
    for wait in [500, 750, 1125] {
        call(&mut state, &mut now, Effect::Failure);
        assert_eq!(state.admit(now, ask(Signal::Traces)).err(), Some(Wait::Until(now + wait * MILLI)));
        now += wait * MILLI;
        assert_eq!(state.concurrency(now), 1);
    }
    call(&mut state, &mut now, Effect::Success);
    assert_eq!(state.concurrency(now), 4);
    assert!(state.admit(now, ask(Signal::Traces)).is_ok());
}

/// Four requests in flight fail together.
/// Guarantees that the wait grows once for them, not four times.
#[test]
fn failures_of_one_moment_count_once_for_the_wait() {
    let (mut state, mut now) = state();
    grown(&mut state, &mut now, 4);
    let slots: Vec<Slot> = (0..4).map(|_| state.admit(now, ask(Signal::Logs)).expect("free")).collect();
    slots.iter().for_each(|slot| state.report(now, slot, report(Effect::Failure)));
    assert_eq!(state.admit(now, ask(Signal::Logs)).err(), Some(Wait::Until(now + 500 * MILLI)));
}

/// Five failures.
/// Guarantees that an open breaker gives no leave before its time (`no-pull-while-open`), then leave for a single trial, and that the
/// backoff does not prolong it.
#[test]
fn an_open_breaker_gives_no_leave() {
    let (mut state, mut now) = state();
    for _ in 0..5 {
        while let Err(Wait::Until(at)) = state.admit(now, ask(Signal::Logs)).map(|slot| state.cancel(now, &slot)) {
            now = at;
        }
        call(&mut state, &mut now, Effect::Failure);
    }
    assert_eq!(state.breaker(now), BreakerState::Open);
    for signal in Signal::ALL {
        assert_eq!(state.admit(now, ask(signal)).err(), Some(Wait::Until(now + 5 * SECOND)));
    }
    now += 5 * SECOND;
    let trial = state.admit(now, ask(Signal::Traces)).expect("the trial");
    assert!(trial.trial && !trial.breaker_closed);
    assert_eq!(state.admit(now, ask(Signal::Logs)).err(), Some(Wait::Event));
    state.report(now, &trial, report(Effect::Success));
    assert_eq!(state.admit(now, ask(Signal::Traces)).err(), Some(Wait::Event), "logs have waited longer");
    assert!(state.admit(now, ask(Signal::Logs)).is_ok());
}

/// One slot, three signals that all want it all the time.
/// Guarantees that each gets it in turn, and that one which has nothing to send any more does not block the others.
#[test]
fn signals_take_turns() {
    let (mut state, now) = state();
    let mut turns = Vec::new();
    let mut held = Some(state.admit(now, ask(Signal::Traces)).expect("free"));
    for _ in 0..6 {
        for signal in Signal::ALL {
            assert_eq!(state.admit(now, ask(signal)).err(), Some(Wait::Event));
        }
        state.cancel(now, &held.take().expect("held"));
        for signal in Signal::ALL {
            held = held.or(state.admit(now, ask(signal)).ok());
        }
        turns.push(held.expect("given to one").signal);
    }
    assert_eq!(turns[..3], [Signal::Traces, Signal::Metrics, Signal::Logs]);
    assert_eq!(turns[..3], turns[3..]);
    state.cancel(now, &held.expect("held"));
    Signal::ALL.into_iter().for_each(|signal| state.withdraw(signal));
    assert!(state.admit(now, ask(Signal::Logs)).is_ok());
}

/// Throttles: of fresh data without and with a delay, then of a batch of the backlog.
/// Guarantees that nothing goes before the delay (`hint-respected`), that the backlog is paused first and for longer, and that fresh
/// data waits only for what fresh data met, or where nothing is taken any more.
#[test]
fn throttles_slow_down_the_backlog_first() {
    let (mut state, mut now) = state();
    grown(&mut state, &mut now, 4);
    let slots: Vec<Slot> = (0..2).map(|_| state.admit(now, ask(Signal::Logs)).expect("free")).collect();
    state.report(now, &slots[0], report(Effect::Throttle));
    assert_eq!(state.concurrency(now), 2);
    assert_eq!(state.admit(now, ask(Signal::Logs)).err(), Some(Wait::Until(now + 250 * MILLI)));
    state.report(now, &slots[1], report(Effect::Success));
    let slot = state.admit(now, ask(Signal::Logs)).expect("fresh data goes on");
    assert!(slot.fresh && !slot.backlog);
    let backlog = Ask { fresh: false, ..ask(Signal::Traces) };
    assert_eq!(state.admit(now, backlog).err(), Some(Wait::Pace(now + 500 * MILLI)));
    state.report(now, &slot, Report { effect: Effect::Throttle, delay: Some(7 * SECOND) });
    for signal in Signal::ALL {
        assert_eq!(state.admit(now, ask(signal)).err(), Some(Wait::Until(now + 7 * SECOND)));
    }
    now += 7 * SECOND;
    assert_eq!(state.admit(now, backlog).err(), Some(Wait::Pace(now + 500 * MILLI)));
    now += SECOND;
    let slot = state.admit(now, ask(Signal::Logs)).expect("its pause is over");
    state.report(now, &slot, report(Effect::Success));
    let mut slot = state.admit(now, backlog).expect("its pause is over");
    state.choose(&mut slot, Lane::Backlog);
    state.sends(now, &mut slot, 1000);
    state.report(now, &slot, report(Effect::Throttle));
    assert!(matches!(state.admit(now, backlog).err(), Some(Wait::Pace(at)) if at > now));
    let slot = state.admit(now, ask(Signal::Logs)).expect("it was the backlog that met it");
    assert!(slot.fresh && !slot.backlog);
    state.report(now, &slot, report(Effect::Throttle));
    assert!(
        matches!(state.admit(now, ask(Signal::Logs)).err(), Some(Wait::Until(at)) if at > now),
        "nothing was taken since"
    );
}

/// Backlog that never ends, at different limits and in a ramp, and fresh data that comes now and then.
/// Guarantees that there is a slot for it at once, and that more than the maximum is never in flight.
#[test]
fn fresh_data_does_not_wait_for_backlog_in_flight() {
    let backlog = |signal| Ask { fresh: false, paced: false, ..ask(signal) };
    for limit in [1, 2, 4] {
        let (mut state, mut now) = state();
        grown(&mut state, &mut now, limit);
        let mut held = Vec::new();
        while let Ok(mut slot) = state.admit(now, backlog(Signal::Logs)) {
            state.choose(&mut slot, Lane::Backlog);
            held.push(slot);
        }
        assert_eq!(held.len(), (limit - 1).max(1));
        assert_eq!(state.admit(now, backlog(Signal::Metrics)).err(), Some(Wait::Event));
        assert!(state.admit(now, ask(Signal::Traces)).is_ok_and(|slot| slot.fresh && !slot.backlog));
        assert_eq!(state.admit(now, ask(Signal::Traces)).err(), Some(Wait::Event), "one is kept, no more");
        assert!(state.in_flight() <= limit.max(2));
    }
    // One slot is left to backlog: the signal that has nothing else gets its turn.
    let (mut state, mut now) = state();
    grown(&mut state, &mut now, 2);
    let mut slot = state.admit(now, ask(Signal::Logs)).expect("free");
    state.choose(&mut slot, Lane::Backlog);
    for _ in 0..4 {
        assert_eq!(state.admit(now, backlog(Signal::Metrics)).err(), Some(Wait::Event));
        state.cancel(now, &slot);
        let both = state.admit(now, ask(Signal::Traces)).expect("there is a slot for fresh data");
        assert!(!both.backlog, "metrics are ahead");
        slot = state.admit(now, backlog(Signal::Metrics)).expect("its turn");
        state.choose(&mut slot, Lane::Backlog);
        state.cancel(now, &both);
    }
    let config = TargetConfig { max_concurrency: 1, ..config("hub") };
    let now = Instant::now();
    let mut state = TargetState::new(&config, ReplayRate::Auto, Jitter::off(), now);
    let mut slot = state.admit(now, backlog(Signal::Logs)).expect("free");
    state.choose(&mut slot, Lane::Backlog);
    assert_eq!(state.admit(now, ask(Signal::Traces)).err(), Some(Wait::Event), "the maximum holds");
    state.cancel(now, &slot);
    state.breaker.ramp(now);
    assert!(state.admit(now, ask(Signal::Traces)).is_ok());
}

/// A success while a server's delay runs.
/// Guarantees that the delay holds all the same.
#[test]
fn no_success_shortens_a_servers_delay() {
    let (mut state, mut now) = state();
    grown(&mut state, &mut now, 2);
    let slots: Vec<Slot> = (0..2).map(|_| state.admit(now, ask(Signal::Logs)).expect("free")).collect();
    state.report(now, &slots[0], Report { effect: Effect::Failure, delay: Some(9 * SECOND) });
    state.report(now, &slots[1], report(Effect::Success));
    assert_eq!(state.admit(now, ask(Signal::Logs)).err(), Some(Wait::Until(now + 9 * SECOND)));
}

/// Four requests of one signal meet a wrong endpoint.
/// Guarantees that it is misconfigured for that signal alone, is tried again with one batch at paced intervals, and is well with the
/// first that is taken.
#[test]
fn a_wrong_endpoint_is_tried_again_at_a_pace() {
    let (mut state, mut now) = state();
    grown(&mut state, &mut now, 4);
    let slots: Vec<Slot> = (0..4).map(|_| state.admit(now, ask(Signal::Logs)).expect("free")).collect();
    slots.iter().for_each(|slot| state.report(now, slot, report(Effect::Misconfigured)));
    assert_eq!(state.misconfigured(), [false, false, true]);
    assert!(state.condition(now, Signal::Logs).misconfigured && !state.condition(now, Signal::Traces).misconfigured);
    assert!(state.admit(now, ask(Signal::Traces)).is_ok());
    assert_eq!(state.breaker(now), BreakerState::Closed);
    for wait in [500, 750] {
        assert_eq!(state.admit(now, ask(Signal::Logs)).err(), Some(Wait::Until(now + wait * MILLI)));
        now += wait * MILLI;
        let slot = state.admit(now, ask(Signal::Logs)).expect("one batch");
        assert_eq!(state.admit(now, ask(Signal::Logs)).err(), Some(Wait::Event));
        state.report(now, &slot, report(Effect::Misconfigured));
    }
    now += 5 * SECOND;
    call(&mut state, &mut now, Effect::Success);
    assert_eq!(state.misconfigured(), [false; 3]);
}

/// The breaker opens because of logs, while traces had nothing to send.
/// Guarantees that traces see since when the target fails, and that a success of either ends it.
#[test]
fn signals_share_the_silence_of_an_open_breaker() {
    let (mut state, start) = state();
    let mut now = start;
    assert_eq!(state.condition(now, Signal::Traces).silent_since, None);
    for _ in 0..5 {
        call(&mut state, &mut now, Effect::Doubt);
    }
    assert_eq!(state.condition(now, Signal::Traces).silent_since, Some(start));
    now += 5 * SECOND;
    (0..3).for_each(|_| call(&mut state, &mut now, Effect::Success));
    assert_eq!(state.condition(now, Signal::Traces).silent_since, None);
    assert_eq!(state.breaker(now), BreakerState::Ramping);
}

/// The only slot is taken by a batch of logs that hangs, while traces have something to send; both fail in the end.
/// Guarantees that traces see the silence from the moment on in which they were kept from sending, and that their success ends it.
#[test]
fn a_signal_that_finds_no_slot_shares_the_silence() {
    let (mut state, start) = state();
    let logs = state.admit(start, ask(Signal::Logs)).expect("the slot is free");
    assert_eq!(state.condition(start, Signal::Traces).silent_since, None);
    let kept = start + SECOND;
    assert_eq!(state.admit(kept, ask(Signal::Traces)).err(), Some(Wait::Event));
    state.report(start + 10 * SECOND, &logs, report(Effect::Failure));
    let mut now = start + 11 * SECOND;
    for effect in [Effect::Failure, Effect::Success] {
        assert_eq!(state.condition(now, Signal::Traces).silent_since, Some(kept));
        assert_eq!(state.condition(now, Signal::Logs).silent_since, Some(start));
        let traces = state.admit(now, ask(Signal::Traces)).expect("the slot is free");
        assert_eq!(state.condition(now, Signal::Traces).silent_since, Some(kept));
        now += 10 * SECOND;
        state.report(now, &traces, report(effect));
        now += SECOND;
    }
    assert_eq!(state.condition(now, Signal::Traces).silent_since, None);
}

/// Probes that fail and succeed while nothing is sent, and while a batch is waiting.
/// Guarantees that silence is known from the first failed probe, and that probes close the breaker of an idle target only.
#[test]
fn probes_speak_where_traffic_is_silent() {
    let (mut state, mut now) = state();
    let down = target::Health::Down("no route".to_owned());
    assert!(state.probed(now + SECOND, now, state.generation(), &down));
    assert_eq!(state.condition(now, Signal::Metrics).silent_since, Some(now));
    assert_eq!(state.condition(now, Signal::Metrics).standing, Standing::Down);
    for _ in 0..5 {
        call(&mut state, &mut now, Effect::Doubt);
    }
    let probe = |state: &mut TargetState, now: Instant| state.probed(now, now, state.generation(), &target::Health::Up);
    (0..9).for_each(|_| assert!(!probe(&mut state, now) || state.condition(now, Signal::Logs).silent_since.is_some()));
    assert_eq!(state.breaker(now), BreakerState::HalfOpen);
    now += IDLE_AFTER;
    probe(&mut state, now);
    assert_eq!(state.breaker(now), BreakerState::Ramping);
}

/// A target whose probes fail takes a batch.
/// Guarantees that it is up, and silent no longer.
#[test]
fn traffic_outweighs_probes() {
    let (mut state, mut now) = state();
    state.probed(now, now, state.generation(), &target::Health::Down("no such path".to_owned()));
    assert!(!state.condition(now, Signal::Logs).accepts());
    call(&mut state, &mut now, Effect::Success);
    let condition = state.condition(now, Signal::Logs);
    assert!(condition.accepts() && condition.silent_since.is_none());
}
