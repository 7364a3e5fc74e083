//! All that delivery knows of one target: breaker, backoff, concurrency, health, pace and silence, joined into the one question
//! "may this signal send there now, and if not, when?". Pure: told outcomes and the time, without I/O.
//!
//! It is shared by the three signals behind one lock ([`gate`](super::gate)), so that a slot that is freed goes to the signal that
//! has waited longest, also when only one request may be in flight.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;
use super::breaker::{Breaker, Outcome, Probed};
use super::chain::{Condition, Standing};
use super::concurrency::Concurrency;
use super::health::Health;
use super::jitter::Jitter;
use super::pace::Pace;
use super::request::{Ask, Effect, Report, Slot, Wait};
use super::silence::{Ended, Silence};
use super::snapshot::BreakerState;
use crate::batch::Signal;
use crate::config::{Probe, ReplayRate, TargetConfig};
use crate::queue::Lane;
use crate::target;

/// A target that nobody wanted for so long is idle: probes alone may close its breaker. One interval of probes.
pub const IDLE_AFTER: Duration = Duration::from_secs(10);

/// Once a breaker lets a trial through, the signal whose trial failed before lets the others go first: all its batches may be bad.
const TRIAL_YIELDS: Duration = Duration::from_millis(100);

/// New data that a target refused for its load is new still after such a pause. After a longer one so much has gathered that it would
/// only be refused again, ahead of what is newer: then it waits with the backlog.
pub const SHORT_PAUSE: Duration = Duration::from_secs(1);

/// A target that had enough gets no more than so many requests at a time, for so long after a short pause. After a
/// long one what gathered takes more than that.
const CALM: usize = 2;
const CALM_FOR: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub struct TargetState {
    breaker: Breaker,
    backoff: Backoff,
    concurrency: Concurrency,
    /// Most requests in flight ever.
    most: usize,
    health: Health,
    pace: Pace,
    jitter: Jitter,
    network: bool,
    /// Whether it is sent probes.
    probed: bool,
    /// All signals together: what is told of a signal while the breaker is open.
    all: Silence,
    signals: [PerSignal; 3],
    probe_failing: Option<Instant>,
    /// When the last probe or batch was sent that found it well.
    well: Option<Instant>,
    in_flight: usize,
    /// Of these, with backlog.
    backlog_in_flight: usize,
    /// Suspects on their way, which no limit counts.
    alone: usize,
    /// After a failure one request at a time goes, until one succeeds.
    failing: bool,
    streak: u64,
    retry_at: Option<Instant>,
    /// What the server asked for: holds for everything, and no success ends it.
    not_before: Option<Instant>,
    backlog_not_before: Option<Instant>,
    /// Until when few go at a time, since it had enough: they would all be refused together.
    calm_until: Option<Instant>,
    /// Who tried it out last.
    tried_by: Option<Signal>,
    next_ticket: u64,
    wanted_at: Option<Instant>,
    last_success: Option<Instant>,
}

#[derive(Debug)]
struct PerSignal {
    silence: Silence,
    wrong: Option<Wrong>,
    /// Its own waits while the endpoint is wrong for it.
    patience: Backoff,
    wants: bool,
    ticket: Option<Ticket>,
    /// Since when others kept it from sending, with no success of its own since.
    held: Option<Instant>,
    active: bool,
}

/// A place in line for a slot.
#[derive(Debug, Clone, Copy)]
struct Ticket {
    number: u64,
    /// Whether for fresh data.
    fresh: bool,
}

/// A wrong endpoint is tried again with single batches.
#[derive(Debug)]
struct Wrong {
    since: Instant,
    retry_at: Instant,
    busy: bool,
}

impl TargetState {
    /// A target of which nothing is known.
    pub fn new(config: &TargetConfig, rate: ReplayRate, mut jitter: Jitter, now: Instant) -> TargetState {
        let mut backoff = || Backoff::new(&config.retry, jitter.fork());
        let signals = [(); 3].map(|()| PerSignal {
            silence: Silence::default(),
            wrong: None,
            patience: backoff(),
            wants: false,
            ticket: None,
            held: None,
            active: false,
        });
        TargetState {
            backoff: backoff(),
            breaker: Breaker::new(&config.breaker, jitter.fork(), now),
            concurrency: Concurrency::new(config.max_concurrency),
            most: config.max_concurrency,
            health: Health::new(&config.health),
            pace: Pace::new(rate, now),
            jitter,
            network: matches!(config.kind, crate::config::TargetKind::Network(_)),
            probed: config.health.probe != Probe::Off,
            all: Silence::default(),
            signals,
            probe_failing: None,
            well: None,
            in_flight: 0,
            backlog_in_flight: 0,
            alone: 0,
            failing: false,
            streak: 0,
            retry_at: None,
            not_before: None,
            backlog_not_before: None,
            calm_until: None,
            tried_by: None,
            next_ticket: 0,
            wanted_at: None,
            last_success: None,
        }
    }

    /// Asks for a slot.
    pub fn admit(&mut self, now: Instant, ask: Ask) -> Result<Slot, Wait> {
        let index = ask.signal.index();
        self.wanted_at = Some(now);
        self.signals[index].wants = true;
        let ask = match self.earliest(now, ask) {
            Ok(ask) => ask,
            Err(wait) => {
                let signal = &mut self.signals[index];
                signal.ticket = None;
                if !matches!(wait, Wait::Pace(_)) {
                    signal.held.get_or_insert(now);
                }
                return Err(wait);
            }
        };
        let (room, ahead) = (self.free_for_backlog(now), self.ahead(index, false));
        let backlog = ask.backlog && room > ahead;
        let promised = self.ahead(index, true) + ahead.min(room);
        if !(ask.fresh || backlog) || self.free(now, ask.fresh) <= promised {
            self.queue_up(now, index, ask.fresh);
            // What is on its way may hang for longer than that.
            return Err(self.calm_until.filter(|until| now < *until).map_or(Wait::Event, Wait::Until));
        }
        let Some(permit) = self.breaker.admit(now) else {
            self.queue_up(now, index, ask.fresh);
            return Err(Wait::Event);
        };
        if permit.trial {
            self.tried_by = Some(ask.signal);
        }
        let signal = &mut self.signals[index];
        (signal.wants, signal.ticket) = (false, None);
        signal.silence.sent(now);
        if let Some(wrong) = &mut signal.wrong {
            wrong.busy = true;
        }
        self.all.sent(now);
        self.in_flight += 1;
        Ok(Slot {
            signal: ask.signal,
            sent: now,
            breaker_closed: !permit.trial,
            trial: permit.trial,
            alone: false,
            fresh: ask.fresh,
            backlog,
            lane: Lane::Fresh,
            bytes: 0,
            paced: ask.paced,
            permit,
            crowd: self.in_flight,
            streak: self.streak,
            well: self.well_by(now),
        })
    }

    /// When something was sent, the last time, that found the target well; where there are no probes, nothing tells.
    fn well_by(&self, now: Instant) -> Option<Instant> {
        if self.probed { self.well } else { Some(now) }
    }

    /// Asks for leave to send a suspect, which takes nobody's place; `None` unless the target is wholly well.
    pub fn admit_alone(&mut self, now: Instant, signal: Signal) -> Option<Slot> {
        let waits = [self.not_before, self.retry_at].into_iter().flatten().any(|at| at > now);
        if self.breaker.state(now) != BreakerState::Closed || waits || self.signals[signal.index()].wrong.is_some() {
            return None;
        }
        let permit = self.breaker.admit(now)?;
        self.alone += 1;
        Some(Slot {
            signal,
            sent: now,
            breaker_closed: true,
            trial: false,
            alone: true,
            fresh: false,
            backlog: true,
            lane: Lane::Backlog,
            bytes: 0,
            paced: false,
            permit,
            crowd: self.in_flight + 1,
            streak: self.streak,
            well: None, // which only a place in line depends on
        })
    }

    /// What of that may go as far as time is concerned, or until when nothing may.
    fn earliest(&mut self, now: Instant, ask: Ask) -> Result<Ask, Wait> {
        if let Some(wrong) = &self.signals[ask.signal.index()].wrong {
            if wrong.busy {
                return Err(Wait::Event);
            }
            later(now, Some(wrong.retry_at))?;
        }
        later(now, self.not_before)?;
        let yields = if self.tried_by == Some(ask.signal) { TRIAL_YIELDS } else { Duration::ZERO };
        later(now, self.breaker.reopens_at().map(|at| at + yields))?;
        later(now, self.retry_at)?;
        let fresh = if ask.fresh { Some(self.pace.bearing.fresh_ready(now, ask.signal)) } else { None };
        let backlog = if ask.backlog { Some(self.backlog_ready(now, ask)) } else { None };
        match (fresh, backlog) {
            (None | Some(Err(_)), None | Some(Err(_))) => {
                let waits = [fresh, backlog].into_iter().flatten().filter_map(Result::err);
                waits.min().map_or(Ok(ask), |at| Err(Wait::Pace(at)))
            }
            (fresh, backlog) => Ok(Ask { fresh: fresh == Some(Ok(())), backlog: backlog == Some(Ok(())), ..ask }),
        }
    }

    fn backlog_ready(&mut self, now: Instant, ask: Ask) -> Result<(), Instant> {
        match self.backlog_not_before {
            Some(at) if at > now => Err(at),
            _ => self.pace.ready(now, ask.signal, ask.paced.then(|| self.breaker.share(now))),
        }
    }

    /// Slots that are free now. Where one request is all that may be in flight, and it is backlog, fresh data does not wait for it.
    fn free(&self, now: Instant, fresh: bool) -> usize {
        let limit = match self.breaker.state(now) {
            // The breaker's single permit decides; requests of the time before may still be hanging.
            BreakerState::HalfOpen | BreakerState::Open => return 1,
            _ if self.calm_until.is_some_and(|until| now < until) => self.concurrency(now).min(CALM),
            _ => self.concurrency(now),
        };
        let beside = fresh && !self.failing && self.backlog_in_flight > 0;
        let limit = if beside { limit.max(2).min(self.most) } else { limit };
        limit.saturating_sub(self.in_flight)
    }

    /// Of these, slots that backlog may take: as many as the ramp allows, and one is kept for fresh data.
    fn free_for_backlog(&self, now: Instant) -> usize {
        let free = self.free(now, false);
        match self.breaker.state(now) {
            BreakerState::HalfOpen | BreakerState::Open => free,
            _ => {
                let limit = self.breaker.capacity(now, self.concurrency(now)).saturating_sub(1).max(1);
                free.min(limit.saturating_sub(self.backlog_in_flight))
            }
        }
    }

    /// Signals that have waited longer for a slot, for fresh data or for backlog alone.
    fn ahead(&self, index: usize, fresh: bool) -> usize {
        let mine = self.signals[index].ticket.map_or(u64::MAX, |ticket| ticket.number);
        let before = |ticket: &Ticket| ticket.number < mine && ticket.fresh == fresh;
        self.signals.iter().filter(|other| other.ticket.as_ref().is_some_and(before)).count()
    }

    fn queue_up(&mut self, now: Instant, index: usize, fresh: bool) {
        let ticket = self.signals[index].ticket;
        let number = ticket.map_or(self.next_ticket, |ticket| ticket.number);
        self.next_ticket = self.next_ticket.max(number + 1);
        self.signals[index].ticket = Some(Ticket { number, fresh });
        self.signals[index].held.get_or_insert(now);
    }

    /// The signal has nothing to send here any more.
    pub fn withdraw(&mut self, signal: Signal) {
        let signal = &mut self.signals[signal.index()];
        (signal.wants, signal.ticket, signal.held) = (false, None, None);
    }

    /// A slot is for a batch of that lane.
    pub fn choose(&mut self, slot: &mut Slot, lane: Lane) {
        slot.lane = lane;
        self.backlog_in_flight += usize::from(lane == Lane::Backlog);
    }

    /// The batch of a slot goes, of so many bytes.
    pub fn sends(&mut self, now: Instant, slot: &mut Slot, bytes: usize) {
        slot.bytes = bytes;
        self.pace.sent(now, slot.lane, slot.paced, bytes);
    }

    /// Whether it fails, or is shut, to that signal: a pause that it asks for is neither.
    pub fn is_away(&self, now: Instant, signal: Signal) -> bool {
        let shut =
            matches!(self.breaker.state(now), BreakerState::Open | BreakerState::HalfOpen | BreakerState::ForcedOpen);
        self.failing || shut || self.signals[signal.index()].wrong.is_some()
    }

    /// Bytes a second at which backlog may go at the moment.
    pub fn backlog_rate(&self, now: Instant) -> f64 {
        self.pace.rate(self.breaker.share(now))
    }

    /// So many bytes came in at the doors since the last call.
    pub fn took_in(&mut self, now: Instant, bytes: u64) {
        self.pace.took_in(now, bytes);
    }

    /// Takes a slot back that was not used, or whose request was given up.
    pub fn cancel(&mut self, now: Instant, slot: &Slot) {
        if slot.alone {
            self.alone -= 1;
            return;
        }
        self.breaker.cancel(slot.permit);
        self.leave(now, slot, Ended::Neither);
    }

    /// Requests that are under way now or were when the slot was given, whichever is more.
    pub fn crowd(&self, slot: &Slot) -> usize {
        self.in_flight.max(slot.crowd)
    }

    /// Takes a slot back with what came of it.
    pub fn report(&mut self, now: Instant, slot: &Slot, report: Report) {
        if let Some(delay) = report.delay {
            self.not_before = self.not_before.max(Some(now + delay));
        }
        if slot.alone {
            self.alone -= 1;
            return;
        }
        let crowd = self.crowd(slot);
        let (outcome, ended) = match report.effect {
            Effect::Success => (Outcome::Success, Ended::Success),
            Effect::Failure | Effect::Doubt => (Outcome::Failure(report.delay), Ended::Failure),
            Effect::Throttle => (Outcome::Neutral, Ended::Throttled),
            Effect::Suspect | Effect::Misconfigured | Effect::Nothing => (Outcome::Neutral, Ended::Neither),
        };
        self.breaker.report(now, slot.permit, outcome);
        self.leave(now, slot, ended);
        let signal = &mut self.signals[slot.signal.index()];
        match report.effect {
            Effect::Success => {
                signal.wrong = None;
                signal.patience.reset();
                self.succeeded(now, slot, crowd);
            }
            Effect::Misconfigured => {
                // Answers to what was under way when the first one came say nothing new.
                if signal.wrong.as_ref().is_none_or(|wrong| slot.sent > wrong.since) {
                    let retry_at = now + signal.patience.next(report.delay);
                    signal.wrong = Some(Wrong { since: now, retry_at, busy: false });
                }
            }
            Effect::Failure | Effect::Suspect => self.failed(now, slot),
            Effect::Throttle => self.throttled(now, slot, report.delay),
            Effect::Doubt | Effect::Nothing => {}
        }
        if self.breaker.reopens_at().is_some() {
            // From here on the breaker alone sets the pace.
            (self.failing, self.retry_at) = (false, None);
            self.backoff.reset();
            self.pace.bearing.forget();
        }
    }

    fn leave(&mut self, now: Instant, slot: &Slot, ended: Ended) {
        self.in_flight -= 1;
        self.backlog_in_flight -= usize::from(slot.lane == Lane::Backlog);
        self.all.ended(now, slot.sent, ended);
        let signal = &mut self.signals[slot.signal.index()];
        signal.silence.ended(now, slot.sent, ended);
        if ended != Ended::Failure {
            signal.held = None;
        }
        if let Some(wrong) = &mut signal.wrong {
            wrong.busy = false;
        }
    }

    fn succeeded(&mut self, now: Instant, slot: &Slot, crowd: usize) {
        self.concurrency.succeeded(now.saturating_duration_since(slot.sent), crowd);
        self.pace.bearing.taken(now, slot.lane, slot.bytes);
        self.health.delivered();
        self.last_success = Some(now);
        self.well = self.well.max(Some(slot.sent));
        (self.probe_failing, self.retry_at, self.failing) = (None, None, false);
        self.backoff.reset();
    }

    fn failed(&mut self, now: Instant, slot: &Slot) {
        if slot.streak == self.streak {
            self.streak += 1;
            self.failing = true;
            self.retry_at = Some(now + self.backoff.next(None));
        }
    }

    /// Load, not failure: fewer at a time, and the backlog first. What has enough of fresh data is left alone as a whole.
    fn throttled(&mut self, now: Instant, slot: &Slot, delay: Option<Duration>) {
        self.concurrency.throttled(now, slot.sent);
        if slot.streak == self.streak {
            self.streak += 1;
            let wait = self.backoff.next(None);
            let delay = delay.unwrap_or_default();
            self.backlog_not_before = Some(now + delay + wait);
            self.calm_until = (delay <= SHORT_PAUSE).then(|| now + delay + wait + CALM_FOR);
            let rest = if slot.lane == Lane::Fresh { wait / 2 } else { wait };
            if self.pace.bearing.complained(now, slot.lane, delay, rest) {
                self.retry_at = Some(now + rest);
            }
        }
    }

    /// Hears of a probe that was sent at `sent`, in that generation of the breaker. Tells whether silence began or ended with it.
    pub fn probed(&mut self, now: Instant, sent: Instant, generation: u64, result: &target::Health) -> bool {
        let failing = self.probe_failing.is_some();
        self.health.probed(result);
        let ok = *result == target::Health::Up;
        if ok {
            self.well = self.well.max(Some(sent));
        }
        if matches!(result, target::Health::Down(_)) {
            let from = self.last_success.map_or(sent, |success| sent.max(success));
            self.probe_failing = Some(self.probe_failing.map_or(from, |failing| failing.min(from)));
        } else {
            self.probe_failing = None;
        }
        if *result != target::Health::Unknown {
            let up = self.health.standing() == Standing::Up;
            self.breaker.probed(now, Probed { generation, ok, up, idle: self.idle(now) });
        }
        failing != self.probe_failing.is_some()
    }

    /// Whether no signal has wanted to send here for a while.
    fn idle(&self, now: Instant) -> bool {
        let lately = self.wanted_at.is_some_and(|at| now < at + IDLE_AFTER);
        self.in_flight == 0 && !lately && !self.signals.iter().any(|signal| signal.wants)
    }

    /// The breaker, for a person to force or release.
    pub fn breaker_by_hand(&mut self) -> &mut Breaker {
        &mut self.breaker
    }

    /// The breaker's generation, for a probe to carry.
    pub fn generation(&self) -> u64 {
        self.breaker.generation()
    }

    /// Time until the next probe.
    pub fn next_probe(&mut self, now: Instant) -> Duration {
        let calm = matches!(self.breaker.state(now), BreakerState::Closed | BreakerState::ForcedClosed);
        self.health.next_probe(calm && self.all.since().is_none(), &mut self.jitter)
    }

    /// The last accepted request.
    pub fn last_success(&self) -> Option<Instant> {
        self.last_success
    }

    /// The target, as that signal's chain has to see it.
    pub fn condition(&self, now: Instant, signal: Signal) -> Condition {
        let breaker = self.breaker.state(now);
        let own = &self.signals[signal.index()];
        // A signal that cannot send because of others' failures, or because what hangs has all the slots, shares their silence.
        let shut = matches!(breaker, BreakerState::Open | BreakerState::HalfOpen);
        let held = self.all.since().zip(own.held).map(|(since, held)| since.max(held));
        let shared = if shut { self.all.since() } else { held };
        Condition {
            network: self.network,
            breaker,
            standing: self.health.standing(),
            misconfigured: own.wrong.is_some(),
            silent_since: [own.silence.since(), shared, self.probe_failing].into_iter().flatten().min(),
            throttled_since: own.silence.throttled_since(),
        }
    }

    /// Traffic of that signal now goes here, or no longer. A target that gets traffic back from all starts with little of it.
    pub fn set_active(&mut self, now: Instant, signal: Signal, active: bool, returned: bool) {
        let alone = !self.signals.iter().any(|other| other.active);
        self.signals[signal.index()].active = active;
        if active && returned {
            self.signals[signal.index()].silence.forgive();
            self.signals[signal.index()].held = None;
            if alone {
                self.breaker.ramp(now);
            }
        }
    }

    /// Whether that signal waits for a slot, and has to be told of one that was freed.
    pub fn waits(&self, signal: Signal) -> bool {
        self.signals[signal.index()].ticket.is_some()
    }

    /// State of the breaker.
    pub fn breaker(&self, now: Instant) -> BreakerState {
        self.breaker.state(now)
    }

    /// Whether probes and traffic have it up.
    pub fn standing(&self) -> Standing {
        self.health.standing()
    }

    /// Signals for which the endpoint is wrong.
    pub fn misconfigured(&self) -> [bool; 3] {
        [0, 1, 2].map(|index| self.signals[index].wrong.is_some())
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight + self.alone
    }

    /// Most requests in flight at the moment.
    pub fn concurrency(&self, now: Instant) -> usize {
        match self.breaker.state(now) {
            BreakerState::ForcedOpen => 0,
            BreakerState::HalfOpen | BreakerState::Open => 1,
            _ if self.failing => 1,
            _ => self.concurrency.limit(),
        }
    }

    /// Time until something is tried again; zero when nothing is waited for.
    pub fn retry_delay(&self, now: Instant) -> Duration {
        let wrong = self.signals.iter().filter_map(|signal| signal.wrong.as_ref()).map(|wrong| wrong.retry_at).max();
        let at = [self.retry_at, self.not_before, self.breaker.reopens_at(), wrong].into_iter().flatten().max();
        at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }
}

fn later(now: Instant, at: Option<Instant>) -> Result<(), Wait> {
    match at {
        Some(at) if at > now => Err(Wait::Until(at)),
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
