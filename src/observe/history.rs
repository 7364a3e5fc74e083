//! The last quarter of an hour: what came in, where it went, and how the gateway did, a point every two seconds.
//!
//! Kept here and not on the page, so that whoever opens it during an outage sees how the outage began.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use super::headline::State;
use super::sources::Reading;

/// Time from point to point.
const STEP: Duration = Duration::from_secs(2);
/// Looks come a little early or late; the step is not to become the one after.
const SLACK: Duration = Duration::from_millis(100);
/// Points that are kept: 15 minutes of them.
const POINTS: usize = 450;

/// Counters at one moment, in items since the start.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    accepted: u64,
    primary: u64,
    replayed: u64,
    fallback: u64,
}

impl Totals {
    fn of(reading: &Reading) -> Totals {
        let mut totals = Totals { accepted: reading.doors.accepted_items.iter().sum(), ..Totals::default() };
        for target in &reading.deliver.targets {
            let [fresh, backlog] = target.delivered.iter().fold([0, 0], |[a, b], [c, d]| [a + c, b + d]);
            if target.primary {
                totals.primary += fresh;
                totals.replayed += backlog;
            } else {
                totals.fallback += fresh + backlog;
            }
        }
        totals
    }

    /// What happened since; a target that a new configuration began anew counts from 0 again.
    fn since(&self, before: &Totals) -> Totals {
        Totals {
            accepted: self.accepted.saturating_sub(before.accepted),
            primary: self.primary.saturating_sub(before.primary),
            replayed: self.replayed.saturating_sub(before.replayed),
            fallback: self.fallback.saturating_sub(before.fallback),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Point {
    at: Duration,
    at_ms: u64,
    /// Since the point before.
    moved: Totals,
    queued: u64,
    /// The worst since the point before.
    state: State,
}

/// The points, and what the next one is counted from.
#[derive(Debug, Default)]
pub(super) struct History {
    points: VecDeque<Point>,
    last: Option<(Duration, Totals)>,
    worst: Option<State>,
}

impl History {
    /// Takes a reading and what it was judged to be, `at` so long after the start. Most only say whether it got worse.
    pub(super) fn record(&mut self, at: Duration, reading: &Reading, state: State) {
        let worst = self.worst.map_or(state, |worst| worst.max(state));
        self.worst = Some(worst);
        let Some((before, counted)) = self.last else {
            self.last = Some((at, Totals::of(reading)));
            return;
        };
        if at + SLACK < before + STEP {
            return;
        }
        let totals = Totals::of(reading);
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        let queued = reading.queue.signals.iter().map(|depth| depth.books.queued).sum();
        self.points.push_back(Point { at, at_ms: reading.at_ms, moved: totals.since(&counted), queued, state: worst });
        (self.last, self.worst) = (Some((at, totals)), None);
    }

    /// All of it, as it is told.
    pub(super) fn tell(&self) -> Told {
        let from = self.points.front().map(|first| (first.at, first.at_ms));
        let (from, from_ms) = from.unwrap_or_default();
        let all = |of: fn(&Point) -> u64| self.points.iter().map(of).collect();
        let mut states: Vec<Stretch> = Vec::new();
        for point in &self.points {
            if states.last().is_none_or(|last| last.state != point.state) {
                states.push(Stretch { seconds: tenths(point.at - from), state: point.state });
            }
        }
        Told {
            from_ms,
            seconds: self.points.iter().map(|point| tenths(point.at - from)).collect(),
            accepted: all(|point| point.moved.accepted),
            primary: all(|point| point.moved.primary),
            replayed: all(|point| point.moved.replayed),
            fallback: all(|point| point.moved.fallback),
            queued: all(|point| point.queued),
            states,
        }
    }
}

/// The last quarter of an hour. Every list has as many entries as `seconds`, but for `states`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Told {
    /// Time of the first point, in milliseconds since the Unix epoch; 0 without one.
    pub from_ms: u64,
    /// Each point's distance from the first.
    pub seconds: Vec<f64>,
    /// Items that were answered OK between the point before and this one.
    pub accepted: Vec<u64>,
    /// Items that the primaries took of what just came in.
    pub primary: Vec<u64>,
    /// Items that the primaries took of what had waited.
    pub replayed: Vec<u64>,
    /// Items that fallbacks took.
    pub fallback: Vec<u64>,
    /// Items queued at that point.
    pub queued: Vec<u64>,
    /// The headline over the same time.
    pub states: Vec<Stretch>,
}

/// From when on the headline had a word.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stretch {
    /// Distance from the first point.
    pub seconds: f64,
    /// The word.
    pub state: State,
}

fn tenths(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::example;
    use crate::observe::sources::Reload;

    fn reading(second: u64, accepted: u64, delivered: [[u64; 2]; 2]) -> Reading {
        let (mut doors, mut queue, mut deliver) = (example::doors(), example::queue(), example::deliver());
        doors.accepted_items = [accepted, 0, 0];
        queue.signals[0].books.queued = second;
        (deliver.targets[0].delivered[0], deliver.targets[1].delivered[2]) = (delivered[0], delivered[1]);
        Reading { at_ms: 1000 + second * 1000, doors, queue, deliver, reload: Reload::default() }
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// Scenario: items come in and go to the primary, new ones and old ones, and to a fallback; for one look in between all is bad.
    /// Guarantee: each point tells what moved since the one before, and the worst state of that time.
    #[test]
    fn a_point_tells_what_moved_and_the_worst_of_its_time() {
        let mut history = History::default();
        history.record(seconds(0), &reading(0, 100, [[90, 0], [0, 0]]), State::Normal);
        history.record(seconds(1), &reading(1, 150, [[95, 0], [5, 0]]), State::Refusing);
        history.record(seconds(2), &reading(2, 180, [[100, 7], [10, 2]]), State::Normal);
        history.record(seconds(4), &reading(4, 180, [[0, 0], [10, 2]]), State::Normal);
        let told = history.tell();
        assert_eq!((told.from_ms, &told.seconds[..]), (3000, &[0.0, 2.0][..]));
        assert_eq!((&told.accepted[..], &told.primary[..]), (&[80, 0][..], &[10, 0][..]));
        assert_eq!((&told.replayed[..], &told.fallback[..]), (&[7, 0][..], &[12, 0][..]));
        assert_eq!(told.queued, [2, 4]);
        let states: Vec<_> = told.states.iter().map(|stretch| (stretch.seconds, stretch.state)).collect();
        assert_eq!(states, [(0.0, State::Refusing), (2.0, State::Normal)]);
    }

    /// Scenario: looks that come a little early, each of them.
    /// Guarantee: every second one makes a point, as those in time do.
    #[test]
    fn a_look_that_comes_early_makes_its_point() {
        let mut history = History::default();
        for look in 0..=100 {
            history.record(Duration::from_millis(look * 990), &reading(0, look, [[0; 2]; 2]), State::Normal);
        }
        assert_eq!(history.tell().seconds.len(), 50);
    }

    /// Scenario: a day of looks, four a second.
    /// Guarantee: a quarter of an hour of points is kept, and no more.
    #[test]
    fn a_quarter_of_an_hour_is_kept() {
        let mut history = History::default();
        assert_eq!(history.tell().seconds.len(), 0);
        for quarter in 0..4 * 2000 {
            history.record(Duration::from_millis(quarter * 250), &reading(0, quarter, [[0; 2]; 2]), State::Normal);
        }
        let told = history.tell();
        assert_eq!((told.seconds.len(), told.seconds.last().copied()), (POINTS, Some(898.0)));
        assert_eq!(told.states.len(), 1);
    }
}
