//! The pace at which a target is sent to: that of the backlog is `replay.rate` under the ramp, and beyond that whatever the target
//! was seen to bear ([`bearing`](super::bearing)). Pure.
//!
//! A hub that comes back must not be knocked over by its spokes, so what was buffered follows at a rate, beside fresh data.

use tokio::time::Instant;

use super::bearing::Bearing;
use super::bucket::Bucket;
use crate::batch::Signal;
use crate::config::ReplayRate;
use crate::queue::Lane;

/// Least rate of `auto`, in bytes a second of stored (usually compressed) bytes. About 100 000 log records a second, which is
/// what one core of a collector takes: slower would only prolong the outage, and the ramp, the concurrency and the target's own
/// throttles still hold below it.
const AUTO_FLOOR: f64 = (8 << 20) as f64;

/// `auto` is so many times the mean intake: the backlog of an hour is gone within the next.
const AUTO_FACTOR: f64 = 2.0;

/// The mean is taken over this many minutes.
const MINUTES: usize = 60;

/// See the module.
#[derive(Debug)]
pub struct Pace {
    rate: ReplayRate,
    intake: Intake,
    replay: Bucket,
    /// What the target bears.
    pub bearing: Bearing,
    asked_at: Instant,
}

/// Bytes that came in, a slot a minute.
#[derive(Debug)]
struct Intake {
    start: Instant,
    minute: u64,
    slots: [f64; MINUTES],
}

impl Pace {
    /// The pace to a target that has not complained yet.
    pub fn new(rate: ReplayRate, now: Instant) -> Pace {
        let intake = Intake { start: now, minute: 0, slots: [0.0; MINUTES] };
        Pace { rate, intake, replay: Bucket::new(now), bearing: Bearing::new(now), asked_at: now }
    }

    /// Bytes of backlog a second at the moment, of which the ramp allows `share`, in (0, 1].
    pub fn rate(&self, share: f64) -> f64 {
        let configured = self.configured() * share;
        self.bearing.limit().map_or(configured, |limit| limit.min(configured))
    }

    fn configured(&self) -> f64 {
        match self.rate {
            ReplayRate::BytesPerSecond(rate) => rate.max(1) as f64,
            ReplayRate::Auto => (AUTO_FACTOR * self.intake.mean(self.asked_at)).max(AUTO_FLOOR),
        }
    }

    /// Tells of bytes that were taken in since the last call.
    pub fn took_in(&mut self, now: Instant, bytes: u64) {
        self.intake.add(now, bytes as f64);
        self.bearing.took_in(now, bytes as f64);
    }

    /// Whether a batch of that signal's backlog may go now; if not, when. `share`, in (0, 1], is what the ramp allows of the configured rate;
    /// `None` where that does not hold (strict order).
    pub fn ready(&mut self, now: Instant, signal: Signal, share: Option<f64>) -> Result<(), Instant> {
        self.asked_at = self.asked_at.max(now);
        if let Some(share) = share {
            let rate = self.configured() * share;
            self.replay.ready(now, rate, signal)?;
        }
        self.bearing.backlog_ready(now, signal)
    }

    /// A batch goes; `paced` if the configured rate holds for it.
    pub fn sent(&mut self, now: Instant, lane: Lane, paced: bool, bytes: usize) {
        if paced && lane == Lane::Backlog {
            self.replay.spend(bytes as f64);
        }
        self.bearing.sent(now, lane, bytes);
    }
}

impl Intake {
    fn add(&mut self, now: Instant, bytes: f64) {
        let minute = now.saturating_duration_since(self.start).as_secs() / 60;
        for passed in self.minute + 1..=minute.min(self.minute + MINUTES as u64) {
            self.slots[(passed % MINUTES as u64) as usize] = 0.0;
        }
        self.minute = self.minute.max(minute);
        self.slots[(self.minute % MINUTES as u64) as usize] += bytes;
    }

    /// Bytes a second over the last hour, or over the time since the start while that is shorter.
    fn mean(&self, now: Instant) -> f64 {
        let age = now.saturating_duration_since(self.start).as_secs_f64();
        self.slots.iter().sum::<f64>() / age.clamp(10.0, (MINUTES * 60) as f64)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sends as fast as allowed for a minute.
    fn drained(pace: &mut Pace, start: Instant, share: Option<f64>) -> usize {
        let (mut now, mut sent) = (start, 0);
        while now < start + 60 * SECOND {
            match pace.ready(now, Signal::Logs, share) {
                Ok(()) => {
                    pace.sent(now, Lane::Backlog, share.is_some(), 10_000);
                    sent += 10_000;
                    now += SECOND / 1000;
                }
                Err(at) => now = at,
            }
        }
        sent
    }

    /// A fixed rate, at the start of a ramp and after it, and where it does not hold.
    /// Guarantees the rate that the ramp allows.
    #[test]
    fn a_fixed_rate_is_kept_under_the_ramp() {
        for (share, expected) in [(Some(1.0), 60_000_000), (Some(0.1), 6_000_000), (None, 600_000_000)] {
            let now = Instant::now();
            let mut pace = Pace::new(ReplayRate::BytesPerSecond(1_000_000), now);
            let sent = drained(&mut pace, now, share);
            assert!(sent.abs_diff(expected) <= expected / 20, "{share:?}: {sent}");
        }
    }

    /// No intake, a large one, and one that ended an hour ago.
    /// Guarantees the floor, twice the mean, and that the mean forgets after an hour.
    #[test]
    fn auto_follows_the_intake_of_an_hour() {
        let start = Instant::now();
        let mut pace = Pace::new(ReplayRate::Auto, start);
        assert_eq!(pace.rate(1.0), AUTO_FLOOR);
        let mut now = start;
        for _ in 0..600 {
            now += SECOND;
            pace.took_in(now, 50_000_000);
        }
        assert_eq!(pace.ready(now, Signal::Logs, Some(1.0)), Ok(()));
        assert!((pace.rate(1.0) - 100_000_000.0).abs() < 1_000_000.0, "{}", pace.rate(1.0));
        now += Duration::from_secs(4000);
        pace.took_in(now, 0);
        assert_eq!(pace.ready(now, Signal::Logs, Some(1.0)), Ok(()));
        assert_eq!(pace.rate(1.0), AUTO_FLOOR);
    }
}
