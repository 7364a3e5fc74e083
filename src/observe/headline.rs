//! The one word that says how the gateway does, since when, and why.
//!
//! [`assess`] is a pure function of the snapshots; [`Tracker`] remembers since when its answer holds.

use serde::Serialize;

use super::lanes::Lanes;
use super::sources::Reading;
use crate::batch::Signal;
use crate::deliver::snapshot::{BreakerState, ChainView, Snapshot, TargetView};
use crate::queue::snapshot::StoreState;
use crate::units::ByteSize;

/// How the gateway does, from well to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Data comes in and reaches its primary.
    Normal,
    /// The primary takes data again, and gets what waited for it.
    Replaying,
    /// A fallback takes the data of at least one signal.
    OnFallback,
    /// Nothing is sent, by hand; the data is queued.
    Paused,
    /// No network target accepts the data of at least one signal; it is queued.
    Partitioned,
    /// New requests are not accepted.
    Refusing,
}

impl State {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Normal => "normal",
            State::Replaying => "replaying",
            State::OnFallback => "on_fallback",
            State::Paused => "paused",
            State::Partitioned => "partitioned",
            State::Refusing => "refusing",
        }
    }
}

/// The headline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Headline {
    /// The word.
    pub state: State,
    /// Since when it holds, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// One sentence.
    pub why: String,
}

/// What one look at the snapshots says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assessment {
    pub(super) state: State,
    /// Since when, where the snapshots know.
    pub(super) since_ms: Option<u64>,
    pub(super) why: String,
}

/// A backlog younger than this is not called a replay after normal times: a burst may overflow the memory ring for a moment.
const OLD_MS: u64 = 10_000;
/// After an outage it is a replay until the queue is this close to the present.
const CAUGHT_UP_MS: u64 = 1_000;

/// Judges a reading. `was` is the state before: what is left to do after an outage is a replay to its end.
pub(super) fn assess(reading: &Reading, was: State) -> Assessment {
    let mut assessment = refusing(reading)
        .or_else(|| paused(&reading.deliver))
        .or_else(|| partitioned(&reading.deliver))
        .or_else(|| on_fallback(&reading.deliver))
        .or_else(|| replaying(reading, was))
        .unwrap_or_else(|| normal(&reading.deliver));
    if let Some(target) = reading.deliver.by_hand.target() {
        assessment.why.push_str(&format!("; pinned to {target} by hand"));
    }
    assessment
}

fn refusing(reading: &Reading) -> Option<Assessment> {
    let why = match reading.queue.state {
        StoreState::Open => return None,
        StoreState::Full => {
            let used = reading.queue.signals.iter().map(|depth| depth.books.queued_bytes).sum();
            let (used, quota) = (readable(used), readable(reading.queue.capacity_bytes));
            format!("the queue is full, {used} of {quota}: requests are refused with a delay, delivery goes on")
        }
        StoreState::Poisoned => {
            "a write to the queue failed: nothing is acknowledged until the store was reopened and verified".to_owned()
        }
        StoreState::Recovering => "the store failed and is being reopened".to_owned(),
        StoreState::Draining => "the queue is being drained: requests are refused, delivery goes on".to_owned(),
        StoreState::Closing => "the queue is being closed".to_owned(),
    };
    Some(Assessment { state: State::Refusing, since_ms: None, why })
}

fn paused(deliver: &Snapshot) -> Option<Assessment> {
    let since_ms = deliver.by_hand.paused_since_ms?;
    let why = "delivery is paused by hand; the data is queued".to_owned();
    Some(Assessment { state: State::Paused, since_ms: Some(since_ms), why })
}

fn partitioned(deliver: &Snapshot) -> Option<Assessment> {
    let cut = chains(deliver, |chain| chain.partitioned_since_ms.is_some());
    let since_ms = cut.iter().filter_map(|(_, chain)| chain.partitioned_since_ms).min()?;
    let mut why = format!("no network target accepts {}", signals(&cut));
    let files: Vec<_> = cut.iter().filter(|(_, chain)| is_file(deliver, &chain.active)).collect();
    match files.first() {
        Some((_, chain)) => why.push_str(&format!("; {} takes the data meanwhile", chain.active)),
        None => why.push_str("; the data is queued"),
    }
    for name in &cut.first()?.1.targets {
        if let Some((target, (_, error))) = target(deliver, name).and_then(|t| Some((t, t.last_error.as_ref()?))) {
            why.push_str(&format!("; {}: {error}", target.name));
        }
    }
    Some(Assessment { state: State::Partitioned, since_ms: Some(since_ms), why })
}

fn on_fallback(deliver: &Snapshot) -> Option<Assessment> {
    let away = chains(deliver, |chain| chain.targets.first().is_some_and(|primary| *primary != chain.active));
    let since_ms = away.iter().map(|(_, chain)| chain.active_since_ms).min()?;
    let (_, chain) = away.first()?;
    let primary = chain.targets.first()?;
    let mut why = format!("{} to {} instead of {primary}", signals(&away), chain.active);
    if let Some((_, error)) = target(deliver, primary).and_then(|primary| primary.last_error.as_ref()) {
        why.push_str(&format!("; {primary}: {error}"));
    }
    Some(Assessment { state: State::OnFallback, since_ms: Some(since_ms), why })
}

fn replaying(reading: &Reading, was: State) -> Option<Assessment> {
    let old = if was == State::Normal { OLD_MS } else { CAUGHT_UP_MS };
    let mut items = 0;
    let mut primaries: Vec<&str> = Vec::new();
    for (depth, chain) in reading.queue.signals.iter().zip(&reading.deliver.chains) {
        let age = reading.at_ms.saturating_sub(depth.oldest_ms.unwrap_or(reading.at_ms));
        let backlog = Lanes::of(depth).backlog;
        let takes = target(&reading.deliver, &chain.active).is_some_and(works);
        if takes && (depth.books.owed > 0 || (backlog.batches > 0 && age >= old)) {
            items += backlog.items;
            if !primaries.contains(&chain.active.as_str()) {
                primaries.push(&chain.active);
            }
        }
    }
    let to = primaries.join(" and ");
    let why = format!("{items} items that waited are going to {to}, beside what comes in");
    (!primaries.is_empty()).then_some(Assessment { state: State::Replaying, since_ms: None, why })
}

fn normal(deliver: &Snapshot) -> Assessment {
    let primaries = deliver.chains.iter().filter_map(|chain| chain.targets.first());
    let trouble = primaries.filter_map(|name| target(deliver, name)).find(|target| !works(target));
    let why = match trouble {
        Some(TargetView { name, last_error: Some((_, error)), .. }) => {
            format!("data is accepted; the primary {name} is in trouble: {error}")
        }
        Some(TargetView { name, .. }) => {
            format!("data is accepted; the primary {name} has not shown that it takes data")
        }
        None => "every signal goes to its primary".to_owned(),
    };
    Assessment { state: State::Normal, since_ms: None, why }
}

/// Whether a target gets data now.
fn works(target: &TargetView) -> bool {
    target.up && !matches!(target.breaker, BreakerState::Open | BreakerState::ForcedOpen)
}

fn target<'a>(deliver: &'a Snapshot, name: &str) -> Option<&'a TargetView> {
    deliver.targets.iter().find(|target| target.name == name)
}

fn is_file(deliver: &Snapshot, name: &str) -> bool {
    target(deliver, name).is_some_and(|target| target.file)
}

type Chains<'a> = Vec<(Signal, &'a ChainView)>;

fn chains(deliver: &Snapshot, which: impl Fn(&ChainView) -> bool) -> Chains<'_> {
    Signal::ALL.into_iter().zip(&deliver.chains).filter(|(_, chain)| which(chain)).collect()
}

fn signals(chains: &Chains<'_>) -> String {
    let names: Vec<_> = chains.iter().map(|(signal, _)| signal.as_str()).collect();
    names.join(", ")
}

/// Bytes in the largest unit that shows them with three digits or so: live figures are never exact multiples.
fn readable(bytes: u64) -> String {
    match bytes {
        0..0x40_0000 => ByteSize(bytes).to_string(),
        0x40_0000..0x1_0000_0000 => format!("{}MiB", bytes >> 20),
        _ => format!("{}GiB", bytes >> 30),
    }
}

/// A change of the word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// The headline before.
    pub(super) was: Headline,
    /// The headline now.
    pub(super) now: Headline,
}

/// Remembers the headline.
#[derive(Debug)]
pub(super) struct Tracker {
    headline: Headline,
}

impl Tracker {
    /// Before the queue is recovered nothing is accepted.
    pub(super) fn new(now_ms: u64) -> Tracker {
        let why = "the queue is being recovered".to_owned();
        Tracker { headline: Headline { state: State::Refusing, since_ms: now_ms, why } }
    }

    /// The headline as it was told last.
    pub(super) fn headline(&self) -> &Headline {
        &self.headline
    }

    /// Takes what a look said at `now_ms`. The reason may change at every look; a change of the word is returned.
    pub(super) fn take(&mut self, assessment: Assessment, now_ms: u64) -> Option<Change> {
        let Assessment { state, since_ms, why } = assessment;
        let same = state == self.headline.state;
        let since_ms = since_ms.unwrap_or(if same { self.headline.since_ms } else { now_ms });
        let was = std::mem::replace(&mut self.headline, Headline { state, since_ms, why });
        (!same).then(|| Change { was, now: self.headline.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::by_hand::{ByHand, Pinned};
    use crate::observe::example;
    use crate::observe::sources::Reload;

    const NOW: u64 = 1_700_000_000_000;

    /// hub → direct → disk for every signal, all well, nothing queued.
    fn reading() -> Reading {
        Reading {
            at_ms: NOW,
            doors: example::doors(),
            queue: example::queue(),
            deliver: example::deliver(),
            reload: Reload::default(),
        }
    }

    fn state(reading: &Reading, was: State) -> State {
        assess(reading, was).state
    }

    #[test]
    fn all_well_is_normal() {
        let seen = assess(&reading(), State::Normal);
        assert_eq!((seen.state, seen.why.as_str()), (State::Normal, "every signal goes to its primary"));
    }

    /// Scenario: the primary has just died; it is not yet time to leave it.
    /// Guarantee: still normal, and the sentence tells the trouble.
    #[test]
    fn a_primary_in_trouble_is_told_before_anything_moves() {
        let mut reading = reading();
        reading.deliver.targets[0].breaker = BreakerState::Open;
        reading.deliver.targets[0].last_error = Some((NOW, "connection refused".to_owned()));
        let seen = assess(&reading, State::Normal);
        assert_eq!(seen.state, State::Normal);
        assert!(seen.why.contains("hub") && seen.why.contains("connection refused"), "{}", seen.why);
    }

    /// Scenario: two signals go to the fallback.
    /// Guarantee: on fallback since the first of them left, with both named and the reason.
    #[test]
    fn a_fallback_in_use_is_on_fallback() {
        let mut reading = reading();
        for (signal, since) in [(0, NOW - 60_000), (2, NOW - 90_000)] {
            reading.deliver.chains[signal].active = "direct".to_owned();
            reading.deliver.chains[signal].active_since_ms = since;
        }
        reading.deliver.targets[0].last_error = Some((NOW, "HTTP status 503".to_owned()));
        reading.queue.signals[0].books.owed = 10;
        let seen = assess(&reading, State::Normal);
        assert_eq!((seen.state, seen.since_ms), (State::OnFallback, Some(NOW - 90_000)));
        assert_eq!(seen.why, "traces, logs to direct instead of hub; hub: HTTP status 503");
    }

    /// Scenario: no network target accepts metrics, while traces and logs are on the fallback.
    /// Guarantee: partitioned wins, since the signal lost its network targets.
    #[test]
    fn no_network_target_is_partitioned() {
        let mut reading = reading();
        reading.deliver.chains[0].active = "direct".to_owned();
        reading.deliver.chains[1].partitioned_since_ms = Some(NOW - 5_000);
        let seen = assess(&reading, State::OnFallback);
        assert_eq!((seen.state, seen.since_ms), (State::Partitioned, Some(NOW - 5_000)));
        assert_eq!(seen.why, "no network target accepts metrics; the data is queued");
        reading.deliver.chains[1].active = "disk".to_owned();
        let seen = assess(&reading, State::OnFallback);
        assert_eq!(seen.why, "no network target accepts metrics; disk takes the data meanwhile");
    }

    /// Scenario: the store is full, poisoned, closing, while everything else is broken too.
    /// Guarantee: refusing wins, with the reason.
    #[test]
    fn a_store_that_takes_nothing_is_refusing() {
        let mut reading = reading();
        reading.deliver.chains[1].partitioned_since_ms = Some(NOW);
        reading.queue.signals[1].books.queued_bytes = 5 << 30;
        for (store, word) in
            [(StoreState::Full, "5GiB"), (StoreState::Poisoned, "reopened"), (StoreState::Closing, "closed")]
        {
            reading.queue.state = store;
            let seen = assess(&reading, State::Partitioned);
            assert_eq!(seen.state, State::Refusing);
            assert!(seen.why.contains(word), "{}", seen.why);
        }
    }

    /// Scenario: delivery is paused and pinned, while the primary is cut off.
    /// Guarantee: paused wins, since nothing would go anywhere, and both orders are told.
    #[test]
    fn what_is_ordered_by_hand_is_told() {
        let mut reading = reading();
        reading.deliver.chains[1].partitioned_since_ms = Some(NOW);
        let pinned = Some(Pinned { target: "direct".to_owned(), since_ms: NOW });
        reading.deliver.by_hand = ByHand { pinned, paused_since_ms: Some(NOW - 9) };
        let seen = assess(&reading, State::Partitioned);
        assert_eq!((seen.state, seen.since_ms), (State::Paused, Some(NOW - 9)));
        assert_eq!(seen.why, "delivery is paused by hand; the data is queued; pinned to direct by hand");
    }

    /// Scenario: the primary is back, and gets what is owed and what is old.
    /// Guarantee: replaying until both are gone.
    #[test]
    fn owed_and_old_backlog_make_a_replay() {
        let mut reading = reading();
        reading.queue.signals[2].books.owed = 1;
        assert_eq!(state(&reading, State::Normal), State::Replaying);

        reading.queue.signals[2].books.owed = 0;
        reading.queue.signals[2].books.queued = 300;
        reading.queue.signals[2].books.queued_batches = 3;
        reading.queue.signals[2].oldest_ms = Some(NOW - 10_000);
        let seen = assess(&reading, State::Normal);
        assert_eq!(seen.state, State::Replaying);
        assert_eq!(seen.why, "300 items that waited are going to hub, beside what comes in");
    }

    /// Scenario: a burst leaves a young backlog, in normal times and after an outage.
    /// Guarantee: it is a replay only where an outage came before.
    #[test]
    fn a_young_backlog_is_a_replay_only_after_an_outage() {
        let mut reading = reading();
        reading.queue.signals[0].books.queued_batches = 3;
        reading.queue.signals[0].oldest_ms = Some(NOW - 3_000);
        assert_eq!(state(&reading, State::Normal), State::Normal);
        for was in [State::Partitioned, State::OnFallback, State::Replaying] {
            assert_eq!(state(&reading, was), State::Replaying);
        }
        reading.queue.signals[0].fresh_batches = 2;
        reading.queue.signals[0].leased_batches = 1;
        assert_eq!(state(&reading, State::Replaying), State::Normal);
    }

    /// Scenario: an old backlog, and a primary that takes nothing.
    /// Guarantee: nothing is being replayed, so it is not called so.
    #[test]
    fn nothing_is_replayed_to_a_target_that_takes_nothing() {
        let mut reading = reading();
        reading.queue.signals[0].books.queued_batches = 3;
        reading.queue.signals[0].oldest_ms = Some(NOW - 60_000);
        reading.deliver.targets[0].breaker = BreakerState::Open;
        assert_eq!(state(&reading, State::Normal), State::Normal);
    }

    /// Scenario: start, normal, partitioned since a time the chain knows, replaying, normal.
    /// Guarantee: since is the time of the change, or the snapshots' where they know it; a new reason is no change.
    #[test]
    fn since_holds_as_long_as_the_word() {
        let mut tracker = Tracker::new(NOW);
        assert_eq!(tracker.headline().state, State::Refusing);
        let say = |state, since_ms, why: &str| Assessment { state, since_ms, why: why.to_owned() };
        let change = tracker.take(say(State::Normal, None, "a"), NOW + 1).unwrap();
        assert_eq!((change.was.state, change.now.since_ms), (State::Refusing, NOW + 1));
        assert_eq!(tracker.take(say(State::Normal, None, "b"), NOW + 2), None);
        assert_eq!((tracker.headline().since_ms, tracker.headline().why.as_str()), (NOW + 1, "b"));
        let change = tracker.take(say(State::Partitioned, Some(NOW - 9), "c"), NOW + 3).unwrap();
        assert_eq!(change.now.since_ms, NOW - 9);
    }
}
