//! The pace of the backlog: a token bucket over bytes, and the rate that `replay.rate: auto` fills it with. Pure.
//!
//! A hub that comes back must not be knocked over by its spokes, so what was buffered follows at a rate, beside fresh data.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::ReplayRate;

/// Least rate of `auto`, in bytes a second of stored (usually compressed) bytes. About 100 000 log records a second, which is
/// what one core of a collector takes: slower would only prolong the outage, and the ramp, the concurrency and the target's own
/// throttles still hold below it.
const AUTO_FLOOR: f64 = (8 << 20) as f64;

/// `auto` is so many times the mean intake: the backlog of an hour is gone within the next.
const AUTO_FACTOR: f64 = 2.0;

/// The mean is taken over this many minutes.
const MINUTES: usize = 60;

/// What may be saved up: a second's worth, so that pacing needs no fine timer.
const BURST: f64 = 1.0;

/// See the module.
#[derive(Debug)]
pub struct Pace {
    rate: ReplayRate,
    intake: Intake,
    tokens: f64,
    filled_at: Instant,
}

/// Bytes that came in, a slot a minute.
#[derive(Debug)]
struct Intake {
    start: Instant,
    minute: u64,
    slots: [f64; MINUTES],
}

impl Pace {
    /// A full bucket.
    pub fn new(rate: ReplayRate, now: Instant) -> Pace {
        let intake = Intake { start: now, minute: 0, slots: [0.0; MINUTES] };
        let mut pace = Pace { rate, intake, tokens: 0.0, filled_at: now };
        pace.tokens = pace.rate() * BURST;
        pace
    }

    /// Bytes a second at the moment.
    pub fn rate(&self) -> f64 {
        match self.rate {
            ReplayRate::BytesPerSecond(rate) => rate.max(1) as f64,
            ReplayRate::Auto => (AUTO_FACTOR * self.intake.mean(self.filled_at)).max(AUTO_FLOOR),
        }
    }

    /// Tells of bytes that were taken in since the last call.
    pub fn took_in(&mut self, now: Instant, bytes: u64) {
        self.intake.add(now, bytes as f64);
    }

    /// Whether a batch of the backlog may go now; if not, when.
    pub fn ready(&mut self, now: Instant) -> Result<(), Instant> {
        let rate = self.rate();
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = self.filled_at.max(now);
        self.tokens = (self.tokens + passed * rate).min(rate * BURST);
        if self.tokens > 0.0 {
            return Ok(());
        }
        // One millisecond beyond, so that rounding cannot wake us a moment too early.
        Err(now + Duration::from_secs_f64(-self.tokens / rate) + Duration::from_millis(1))
    }

    /// A batch of this many bytes goes: whole, so that one larger than the burst goes too, and the next waits for it.
    pub fn spend(&mut self, bytes: usize) {
        self.tokens -= bytes as f64;
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
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sends as fast as allowed for a minute.
    fn drained(pace: &mut Pace, start: Instant, batch: usize) -> usize {
        let (mut now, mut sent) = (start, 0);
        while now < start + 60 * SECOND {
            match pace.ready(now) {
                Ok(()) => {
                    pace.spend(batch);
                    sent += batch;
                }
                Err(at) => now = at,
            }
        }
        sent
    }

    /// A fixed rate, with small batches and with batches larger than the burst.
    /// Guarantees the rate over a minute, plus one burst and one batch at most.
    #[test]
    fn a_fixed_rate_is_kept() {
        for batch in [1000, 100_000, 3_000_000] {
            let now = Instant::now();
            let mut pace = Pace::new(ReplayRate::BytesPerSecond(1_000_000), now);
            let sent = drained(&mut pace, now, batch);
            assert!(sent >= 58_000_000 && sent <= 61_000_000 + batch, "{sent}");
        }
    }

    /// No intake, a large one, and one that ended an hour ago.
    /// Guarantees the floor, twice the mean, and that the mean forgets after an hour.
    #[test]
    fn auto_follows_the_intake_of_an_hour() {
        let start = Instant::now();
        let mut pace = Pace::new(ReplayRate::Auto, start);
        assert_eq!(pace.rate(), AUTO_FLOOR);
        let mut now = start;
        for _ in 0..600 {
            now += SECOND;
            pace.took_in(now, 50_000_000);
        }
        assert_eq!(pace.ready(now), Ok(()));
        assert!((pace.rate() - 100_000_000.0).abs() < 1_000_000.0, "{}", pace.rate());
        now += Duration::from_secs(4000);
        pace.took_in(now, 0);
        assert_eq!(pace.ready(now), Ok(()));
        assert_eq!(pace.rate(), AUTO_FLOOR);
    }
}
