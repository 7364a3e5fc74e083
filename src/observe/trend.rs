//! Where the queue is heading: when it will be full, and when its backlog will be gone.
//!
//! Pure arithmetic over samples taken once a second; it is told the time.

use std::collections::VecDeque;
use std::time::Duration;

use super::lanes::Lanes;
use crate::batch::Signal;
use crate::queue::snapshot::Snapshot;

/// Samples are kept this long: growth towards a full queue is slow, and a shorter view would jump with every burst.
const LONG: Duration = Duration::from_secs(300);
/// A replay changes its pace with its ramp, so it is judged by the last minute.
const SHORT: Duration = Duration::from_secs(60);
/// Below this span two samples say nothing yet.
const LEAST: Duration = Duration::from_secs(3);
/// An estimate above ten years is none.
const FOREVER: f64 = 10.0 * 365.0 * 86_400.0;

/// Where the queue is heading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Outlook {
    /// Bytes queued, all signals together.
    pub(super) used_bytes: u64,
    /// Time until the quota is reached at the growth of the last five minutes; `None` when it does not grow.
    pub(super) full_in: Option<Duration>,
    /// Time until nothing is queued at the pace of the last minute; `None` when it does not shrink.
    pub(super) empty_in: Option<Duration>,
    /// Items of backlog, by signal.
    pub(super) backlog_items: [u64; 3],
    /// Time until a signal's backlog is gone, zero without one; `None` when it does not shrink.
    pub(super) replayed_in: [Option<Duration>; 3],
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    used_bytes: u64,
    backlog_items: [u64; 3],
}

impl Sample {
    fn of(at: Duration, queue: &Snapshot) -> Sample {
        Sample {
            at,
            used_bytes: queue.signals.iter().map(|depth| depth.books.queued_bytes).sum(),
            backlog_items: queue.signals.each_ref().map(|depth| Lanes::of(depth).backlog.items),
        }
    }
}

/// The last minutes of the queue, at most one sample a second.
#[derive(Debug, Default)]
pub(super) struct Trend {
    samples: VecDeque<Sample>,
}

impl Trend {
    /// Takes the queue as it is `at` so long after the start, at most once a second.
    pub(super) fn record(&mut self, at: Duration, queue: &Snapshot) {
        if self.samples.back().is_some_and(|last| at < last.at + Duration::from_secs(1)) {
            return;
        }
        while self.samples.front().is_some_and(|first| first.at + LONG < at) {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample::of(at, queue));
    }

    /// Judges the queue as it is `at` so long after the start by the samples before.
    pub(super) fn outlook(&self, at: Duration, queue: &Snapshot) -> Outlook {
        let now = Sample::of(at, queue);
        let (long, short) = (self.since(at, LONG), self.since(at, SHORT));
        let full_in = if now.used_bytes >= queue.capacity_bytes {
            Some(Duration::ZERO)
        } else {
            let growth = long.and_then(|then| per_second(then.used_bytes, now.used_bytes, at - then.at));
            growth.and_then(|growth| time((queue.capacity_bytes - now.used_bytes) as f64 / growth))
        };
        let gone = |left: u64, then: Option<(u64, Duration)>| match (left, then) {
            (0, _) => Some(Duration::ZERO),
            (left, Some((before, span))) => {
                per_second(left, before, span).and_then(|shrinks| time(left as f64 / shrinks))
            }
            (_, None) => None,
        };
        let empty_in = gone(now.used_bytes, short.map(|then| (then.used_bytes, at - then.at)));
        let replayed_in = Signal::ALL.map(|signal| {
            let then = short.map(|then| (then.backlog_items[signal.index()], at - then.at));
            gone(now.backlog_items[signal.index()], then)
        });
        Outlook { used_bytes: now.used_bytes, full_in, empty_in, backlog_items: now.backlog_items, replayed_in }
    }

    /// The oldest sample of the last `span`, unless it is too young to say anything.
    fn since(&self, at: Duration, span: Duration) -> Option<Sample> {
        let oldest = self.samples.iter().find(|sample| sample.at + span >= at)?;
        (oldest.at + LEAST <= at).then_some(*oldest)
    }
}

/// How fast it rose from `from` to `to`; `None` unless it did.
fn per_second(from: u64, to: u64, span: Duration) -> Option<f64> {
    (to > from).then(|| (to - from) as f64 / span.as_secs_f64())
}

fn time(seconds: f64) -> Option<Duration> {
    (seconds < FOREVER).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::example;

    /// A queue of 1000 bytes' quota that holds so many bytes, and so many log items of backlog.
    fn queue(bytes: u64, backlog: u64) -> Snapshot {
        let mut queue = example::queue();
        queue.capacity_bytes = 1000;
        queue.signals[0].books.queued_bytes = bytes;
        queue.signals[2].books.queued = backlog;
        queue
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// Scenario: ten bytes a second come in, then none.
    /// Guarantee: full is foretold from the growth, and not foretold once it stopped.
    #[test]
    fn a_growing_queue_says_when_it_is_full() {
        let mut trend = Trend::default();
        for second in 0..=20 {
            trend.record(seconds(second), &queue(second * 10, 0));
        }
        assert_eq!(trend.outlook(seconds(20), &queue(200, 0)).full_in, Some(seconds(80)));
        assert_eq!(trend.outlook(seconds(20), &queue(200, 0)).empty_in, None);
        assert_eq!(trend.outlook(seconds(20), &queue(1000, 0)).full_in, Some(Duration::ZERO));
        for second in 21..=400 {
            trend.record(seconds(second), &queue(200, 0));
        }
        assert_eq!(trend.outlook(seconds(400), &queue(200, 0)).full_in, None);
    }

    /// Scenario: a backlog of logs shrinks by five items a second, from a peak more than a minute ago.
    /// Guarantee: the time left is told for logs, and zero for signals without a backlog.
    #[test]
    fn a_shrinking_backlog_says_when_it_is_gone() {
        let mut trend = Trend::default();
        for second in 0..=100 {
            trend.record(seconds(second), &queue(0, 1000 - second * 5));
        }
        let outlook = trend.outlook(seconds(100), &queue(0, 500));
        assert_eq!(outlook.replayed_in, [Some(Duration::ZERO), Some(Duration::ZERO), Some(seconds(100))]);
        assert_eq!(outlook.backlog_items, [0, 0, 500]);
        let stuck = trend.outlook(seconds(100), &queue(0, 2000));
        assert_eq!(stuck.replayed_in[2], None);
    }

    /// Scenario: the first seconds of a process.
    /// Guarantee: nothing is foretold from too short a view.
    #[test]
    fn nothing_is_foretold_from_a_blink() {
        let mut trend = Trend::default();
        trend.record(Duration::ZERO, &queue(0, 9));
        let outlook = trend.outlook(seconds(1), &queue(500, 5));
        assert_eq!((outlook.full_in, outlook.replayed_in[2]), (None, None));
    }

    /// Scenario: a day of samples, several a second.
    /// Guarantee: no more are kept than the long view needs.
    #[test]
    fn samples_are_bounded() {
        let mut trend = Trend::default();
        for tick in 0..4 * 1000 {
            trend.record(Duration::from_millis(tick * 250), &queue(0, 0));
        }
        assert!(trend.samples.len() as u64 <= LONG.as_secs() + 2, "{}", trend.samples.len());
    }
}
