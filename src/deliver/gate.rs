//! The gate in front of one target: its shared state behind a lock that is held for microseconds, its counters, its story.
//!
//! A [`Pass`] is one request's way through. It always comes back: reported, or given up when it is dropped, so that no slot and no
//! breaker's permit is ever lost to a cancelled request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::breaker::Breaker;
use super::chain::{Condition, Standing};
use super::counts::Counts;
use super::jitter::Jitter;
use super::request::{Ask, Report, Slot, Wait};
use super::snapshot::{BreakerState, TargetView};
use super::stir::Stir;
use super::target_state::TargetState;
use super::timeline::{Timeline, now_ms, quote, wall_ms};
use crate::batch::Signal;
use crate::config::{ReplayRate, TargetConfig};
use crate::otlp::answer::Answer;
use crate::otlp::class::{self, Class};
use crate::queue::Lane;
use crate::repeats::Repeats;
use crate::target::{self, Shipment, Target};
use crate::units::format_duration;

/// See the module.
pub struct Gate {
    /// Its section of the configuration.
    pub config: TargetConfig,
    /// Where it leads.
    pub target: Arc<dyn Target>,
    /// What is counted.
    pub counts: Arc<Counts>,
    inner: Mutex<Inner>,
    /// A probe is wanted now.
    doubt: Notify,
    stir: Arc<Stir>,
    timeline: Arc<Timeline>,
}

struct Inner {
    state: TargetState,
    seen: Seen,
    repeats: [Repeats; Class::ALL.len()],
    last_error: Option<(u64, String)>,
    /// When the next probe is due; `None` where there are none.
    probe_at: Option<Instant>,
}

/// What the story has told last.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    breaker: BreakerState,
    standing: Standing,
    misconfigured: [bool; 3],
}

/// Leave for one request. Dropped without [`Pass::report`] it counts as given up.
pub struct Pass {
    gate: Arc<Gate>,
    slot: Slot,
    open: bool,
}

impl Gate {
    /// A gate to a target of which nothing is known yet.
    pub fn new(
        config: TargetConfig,
        target: Arc<dyn Target>,
        rate: ReplayRate,
        jitter: Jitter,
        told: (Arc<Stir>, Arc<Timeline>),
    ) -> Gate {
        let now = Instant::now();
        let state = TargetState::new(&config, rate, jitter, now);
        let seen = Seen::of(&state, now);
        let inner = Mutex::new(Inner { state, seen, repeats: Default::default(), last_error: None, probe_at: None });
        Gate { config, target, counts: Arc::default(), inner, doubt: Notify::new(), stir: told.0, timeline: told.1 }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for leave to send.
    pub fn admit(self: &Arc<Gate>, now: Instant, ask: Ask) -> Result<Pass, Wait> {
        let mut inner = self.lock();
        let waited = inner.state.waits(ask.signal);
        match inner.state.admit(now, ask) {
            Ok(slot) => {
                self.tell(inner, now);
                Ok(Pass { gate: self.clone(), slot, open: true })
            }
            Err(wait) => {
                if waited && !inner.state.waits(ask.signal) {
                    self.freed(inner, now, ask.signal); // its place in line: those behind it may go
                } else {
                    self.tell(inner, now);
                }
                Err(wait)
            }
        }
    }

    /// Asks for leave to send a suspect; `None` unless the target is wholly well.
    pub fn admit_alone(self: &Arc<Gate>, now: Instant, signal: Signal) -> Option<Pass> {
        let slot = self.lock().state.admit_alone(now, signal)?;
        Some(Pass { gate: self.clone(), slot, open: true })
    }

    /// The signal has nothing to send here any more: whoever waits behind it may go.
    pub fn withdraw(&self, signal: Signal) {
        let mut inner = self.lock();
        inner.state.withdraw(signal);
        self.freed(inner, Instant::now(), signal);
    }

    /// Whether it fails, or is shut, to that signal.
    pub fn is_away(&self, now: Instant, signal: Signal) -> bool {
        self.lock().state.is_away(now, signal)
    }

    /// Bytes a second at which backlog may go at the moment.
    pub fn backlog_rate(&self) -> f64 {
        self.lock().state.backlog_rate(Instant::now())
    }

    /// So many bytes came in at the doors.
    pub fn took_in(&self, now: Instant, bytes: u64) {
        self.lock().state.took_in(now, bytes);
    }

    /// The target as that signal's chain has to see it.
    pub fn condition(&self, now: Instant, signal: Signal) -> Condition {
        self.lock().state.condition(now, signal)
    }

    /// Traffic of that signal now goes here, or no longer.
    pub fn set_active(&self, now: Instant, signal: Signal, active: bool, returned: bool) {
        let mut inner = self.lock();
        inner.state.set_active(now, signal, active, returned);
        self.tell(inner, now);
    }

    /// A person does something with the breaker.
    pub fn by_hand(&self, order: impl FnOnce(&mut Breaker)) {
        let mut inner = self.lock();
        order(inner.state.breaker_by_hand());
        self.tell(inner, Instant::now());
    }

    /// Has the target probed at once: a request hangs, and either may be at fault.
    pub fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// Completes when a probe is wanted at once.
    pub async fn doubted(&self) {
        self.doubt.notified().await;
    }

    /// Sends one health probe and takes note of what it found. Skipped, unless it was asked for, while traffic shows more than a
    /// probe could.
    pub async fn probe(&self, asked: bool) {
        let sent = Instant::now();
        let generation = {
            let state = &self.lock().state;
            let lately = state.last_success().is_some_and(|at| sent < at + self.config.health.interval);
            if !asked && lately && state.breaker(sent) == BreakerState::Closed && state.standing() == Standing::Up {
                return;
            }
            state.generation()
        };
        let result = self.target.probe().await;
        let now = Instant::now();
        let mut inner = self.lock();
        if let target::Health::Down(reason) = &result {
            inner.last_error = Some((now_ms(), format!("probe: {}", quote(reason))));
        }
        let changed = inner.state.probed(now, sent, generation, &result);
        self.tell(inner, now);
        if changed {
            self.stir.all();
        }
    }

    /// Time until the next probe, from now on.
    pub fn next_probe(&self) -> Duration {
        let now = Instant::now();
        let mut inner = self.lock();
        let wait = inner.state.next_probe(now);
        inner.probe_at = Some(now + wait);
        wait
    }

    /// A slot was freed: whoever waits for one hears of it, but for the signal that freed it, which is awake.
    fn freed(&self, inner: MutexGuard<'_, Inner>, now: Instant, by: Signal) {
        for signal in Signal::ALL {
            if signal != by && inner.state.waits(signal) {
                self.stir.one(signal);
            }
        }
        self.tell(inner, now);
    }

    /// Compares with what was told last; changes are told to the loops, the log and the timeline.
    fn tell(&self, mut inner: MutexGuard<'_, Inner>, now: Instant) {
        let seen = Seen::of(&inner.state, now);
        if seen == inner.seen {
            return;
        }
        let before = std::mem::replace(&mut inner.seen, seen);
        let open_for = inner.state.retry_delay(now);
        let error = inner.last_error.as_ref().map(|(_, error)| error.clone()).unwrap_or_default();
        drop(inner);
        self.stir.all();
        for what in changes(before, seen, open_for, &error) {
            self.timeline.note(format!("{}: {what}", self.config.name));
        }
    }

    /// The target as people see it.
    pub fn view(&self, primary: bool) -> TargetView {
        let now = Instant::now();
        let inner = self.lock();
        let state = &inner.state;
        let breaker = state.breaker(now);
        let shut = matches!(breaker, BreakerState::Open | BreakerState::HalfOpen | BreakerState::ForcedOpen);
        TargetView {
            name: self.config.name.clone(),
            cluster: self.config.cluster.clone(),
            file: self.target.is_file(),
            primary,
            up: state.standing() != Standing::Down && !shut,
            breaker,
            misconfigured: state.misconfigured(),
            inflight: state.in_flight(),
            concurrency: state.concurrency(now),
            retry_delay: state.retry_delay(now),
            next_probe: inner.probe_at.map(|at| at.saturating_duration_since(now)),
            last_success_ms: state.last_success().map(wall_ms),
            last_error: inner.last_error.clone(),
            round_trip: self.target.round_trip(),
            delivered: [0, 1, 2].map(|signal| [0, 1].map(|lane| self.counts.delivered[signal][lane].get())),
            redelivered: [0, 1, 2].map(|signal| self.counts.redelivered[signal].get()),
            rejected: [0, 1, 2].map(|signal| self.counts.rejected[signal].get()),
            attempts: self.counts.attempts(),
            export_duration: self.counts.export_duration.distribution(),
        }
    }
}

impl Seen {
    fn of(state: &TargetState, now: Instant) -> Seen {
        Seen { breaker: state.breaker(now), standing: state.standing(), misconfigured: state.misconfigured() }
    }
}

/// What changed, in sentences.
fn changes(before: Seen, after: Seen, open_for: Duration, error: &str) -> Vec<String> {
    let mut told = Vec::new();
    if before.breaker != after.breaker {
        told.push(match after.breaker {
            BreakerState::Closed => "breaker closed".to_owned(),
            BreakerState::Open => format!("breaker open for {}, after {error}", format_duration(open_for)),
            BreakerState::HalfOpen => "breaker half-open, one request at a time".to_owned(),
            BreakerState::Ramping => "breaker closed again, traffic grows".to_owned(),
            BreakerState::ForcedOpen => "breaker opened by hand".to_owned(),
            BreakerState::ForcedClosed => "breaker closed by hand".to_owned(),
        });
    }
    if before.standing != after.standing {
        told.push(match after.standing {
            Standing::Up => "up".to_owned(),
            Standing::Unknown => "it answers, though it does not say whether it is up".to_owned(),
            Standing::Down => format!("down, after {error}"),
        });
    }
    for signal in Signal::ALL {
        match (before.misconfigured[signal.index()], after.misconfigured[signal.index()]) {
            (false, true) => told.push(format!("misconfigured for {signal}, which is held: {error}")),
            (true, false) => told.push(format!("takes {signal} again")),
            _ => {}
        }
    }
    told
}

impl Pass {
    /// Where it leads.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// What was granted.
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// It is for a batch of that lane.
    pub fn choose(&mut self, lane: Lane) {
        self.gate.lock().state.choose(&mut self.slot, lane);
    }

    /// The batch goes, of so many bytes.
    pub fn sends(&mut self, bytes: usize) {
        self.gate.lock().state.sends(Instant::now(), &mut self.slot, bytes);
    }

    /// The class of an answer, given what else is under way there.
    pub fn classify(&self, answer: &Answer) -> Class {
        if matches!(answer, Answer::Accepted { .. }) {
            return Class::Ok; // whatever the crowd is: the healthy path takes no lock for it
        }
        class::classify(answer, self.gate.lock().state.crowd(&self.slot))
    }

    /// Hands the pass back with what came of the request.
    pub fn report(mut self, shipment: &Shipment, class: Class, answer: &Answer, report: Report) {
        self.open = false;
        let now = Instant::now();
        let gate = &self.gate;
        gate.counts.attempt(class);
        gate.counts.export_duration.observe(now.saturating_duration_since(self.slot.sent));
        let mut inner = gate.lock();
        if *answer != Answer::accepted() {
            let words = quote(&answer.to_string());
            if let Some(held_back) = inner.repeats[class as usize].tell() {
                let (target_name, signal) = (&gate.config.name, self.slot.signal);
                let (batch, along) = (shipment.id.key, shipment.along.len());
                tracing::warn!(target_name, %signal, %batch, along, class = class.as_str(), held_back, "{words}");
            }
            if class != Class::Ok {
                inner.last_error = Some((now_ms(), words));
            }
        }
        inner.state.report(now, &self.slot, report);
        gate.freed(inner, now, self.slot.signal);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.open {
            let now = Instant::now();
            let mut inner = self.gate.lock();
            inner.state.cancel(now, &self.slot);
            self.gate.freed(inner, now, self.slot.signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::deliver::target_state::tests::config;
    use crate::deliver::tests::scripted::Scripted;

    /// One slot; a signal waits for it while the other's request is given up, or its own wish ends.
    /// Guarantees that the one who waits is woken in both cases, and nobody else.
    #[test]
    fn a_slot_that_is_freed_wakes_who_waits() {
        let (stir, timeline) = (Arc::new(Stir::default()), Arc::new(Timeline::default()));
        let told = (stir.clone(), timeline);
        let target = Arc::new(Scripted::new("hub"));
        let gate = Arc::new(Gate::new(config("hub"), target, ReplayRate::Auto, Jitter::off(), told));
        let now = Instant::now();
        let ask = |signal| Ask { signal, fresh: true, backlog: false, paced: true };
        let woken = |signal| stir.woken(signal).now_or_never().is_some();

        let Ok(pass) = gate.admit(now, ask(Signal::Traces)) else { panic!("the slot is free") };
        assert_eq!(gate.admit(now, ask(Signal::Logs)).err(), Some(Wait::Event));
        assert!(!woken(Signal::Logs));
        drop(pass);
        assert!(woken(Signal::Logs) && !woken(Signal::Metrics) && !woken(Signal::Traces));

        assert_eq!(gate.admit(now, ask(Signal::Traces)).err(), Some(Wait::Event), "logs are ahead");
        gate.withdraw(Signal::Logs);
        assert!(woken(Signal::Traces));
        assert!(gate.admit(now, ask(Signal::Traces)).is_ok());
    }

    /// One slot, for which a signal with backlog waits, and another behind it. Once it is free the pace keeps the first from it.
    /// Guarantees that the second is woken: nothing is under way then that would wake it.
    #[test]
    fn a_place_in_line_that_is_given_up_wakes_who_waits() {
        let (stir, timeline) = (Arc::new(Stir::default()), Arc::new(Timeline::default()));
        let told = (stir.clone(), timeline);
        let target = Arc::new(Scripted::new("hub"));
        let gate = Arc::new(Gate::new(config("hub"), target, ReplayRate::BytesPerSecond(1000), Jitter::off(), told));
        let now = Instant::now();
        let ask = |signal, fresh| Ask { signal, fresh, backlog: !fresh, paced: true };
        let woken = |signal| stir.woken(signal).now_or_never().is_some();

        let Ok(mut pass) = gate.admit(now, ask(Signal::Traces, false)) else { panic!("the slot is free") };
        assert_eq!(gate.admit(now, ask(Signal::Logs, false)).err(), Some(Wait::Event));
        assert_eq!(gate.admit(now, ask(Signal::Metrics, true)).err(), Some(Wait::Event));
        pass.choose(Lane::Backlog);
        pass.sends(100_000);
        drop(pass);
        assert!(woken(Signal::Logs) && woken(Signal::Metrics));
        assert_eq!(gate.admit(now, ask(Signal::Metrics, true)).err(), Some(Wait::Event), "logs are ahead");
        assert!(matches!(gate.admit(now, ask(Signal::Logs, false)), Err(Wait::Pace(_))));
        assert!(woken(Signal::Metrics));
        assert!(gate.admit(now, ask(Signal::Metrics, true)).is_ok());
    }
}
