//! A rate over the last half minute. Pure.

use std::time::Duration;

use tokio::time::Instant;

const SLOTS: u64 = 6;
const SLOT: Duration = Duration::from_secs(5);

/// Bytes and items over the last half minute.
#[derive(Debug)]
pub struct Meter {
    start: Instant,
    newest: u64,
    slots: [(u64, u64); SLOTS as usize],
}

impl Meter {
    /// Nothing yet.
    pub fn new(now: Instant) -> Meter {
        Meter { start: now, newest: 0, slots: [(0, 0); SLOTS as usize] }
    }

    /// Counts.
    pub fn count(&mut self, now: Instant, bytes: usize, items: u32) {
        self.advance(now);
        let slot = &mut self.slots[(self.newest % SLOTS) as usize];
        *slot = (slot.0 + bytes as u64, slot.1 + u64::from(items));
    }

    /// Bytes and items a second.
    pub fn rates(&mut self, now: Instant) -> (f64, f64) {
        self.advance(now);
        let (bytes, items) = self.slots.iter().fold((0, 0), |sum, slot| (sum.0 + slot.0, sum.1 + slot.1));
        let over = (SLOT * SLOTS as u32).as_secs_f64();
        (bytes as f64 / over, items as f64 / over)
    }

    fn advance(&mut self, now: Instant) {
        let slot = now.saturating_duration_since(self.start).as_secs() / SLOT.as_secs();
        for number in self.newest + 1..=slot.min(self.newest + SLOTS) {
            self.slots[(number % SLOTS) as usize] = (0, 0);
        }
        self.newest = self.newest.max(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A steady stream that stops.
    /// Guarantees its rate, to within one slot, and zero half a minute after its end.
    #[test]
    fn a_rate_over_half_a_minute() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        for second in 0..60 {
            meter.count(start + Duration::from_secs(second), 1000, 10);
        }
        let (bytes, items) = meter.rates(start + Duration::from_secs(59));
        assert!((830.0..=1000.0).contains(&bytes) && (8.3..=10.0).contains(&items), "{bytes} {items}");
        assert_eq!(meter.rates(start + Duration::from_secs(95)), (0.0, 0.0));
    }
}
