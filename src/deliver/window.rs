//! Calls and failures of the last while, in a fixed number of slots: what the breaker's ratio is taken from.

use std::time::Duration;

use tokio::time::Instant;

/// Slots of a window: old calls leave in steps of a tenth of it, and its memory is fixed.
const SLOTS: usize = 10;

/// Calls and failures over a sliding time.
#[derive(Debug, Clone)]
pub struct Window {
    slot: Duration,
    start: Instant,
    newest: u64,
    slots: [(u32, u32); SLOTS],
}

impl Window {
    /// An empty window over `length`.
    pub fn new(length: Duration, now: Instant) -> Window {
        let slot = (length / SLOTS as u32).max(Duration::from_millis(1));
        Window { slot, start: now, newest: 0, slots: [(0, 0); SLOTS] }
    }

    /// Counts one call.
    pub fn count(&mut self, now: Instant, failed: bool) {
        self.advance(now);
        let (calls, failures) = &mut self.slots[(self.newest % SLOTS as u64) as usize];
        *calls = calls.saturating_add(1);
        *failures = failures.saturating_add(u32::from(failed));
    }

    /// Calls and failures that the window holds.
    pub fn sums(&mut self, now: Instant) -> (u32, u32) {
        self.advance(now);
        self.slots
            .iter()
            .fold((0, 0), |sum: (u32, u32), slot| (sum.0.saturating_add(slot.0), sum.1.saturating_add(slot.1)))
    }

    fn advance(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.start).as_nanos() / self.slot.as_nanos();
        let age = u64::try_from(age).unwrap_or(u64::MAX);
        for number in self.newest.saturating_add(1)..=age.min(self.newest.saturating_add(SLOTS as u64)) {
            self.slots[(number % SLOTS as u64) as usize] = (0, 0);
        }
        self.newest = self.newest.max(age);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls spread over time, some of them long ago.
    /// Guarantees that the sums hold what is younger than the window, give or take one slot.
    #[test]
    fn old_calls_leave() {
        let start = Instant::now();
        let mut window = Window::new(Duration::from_secs(30), start);
        window.count(start, true);
        window.count(start + Duration::from_secs(15), false);
        assert_eq!(window.sums(start + Duration::from_secs(15)), (2, 1));
        assert_eq!(window.sums(start + Duration::from_secs(31)), (1, 0));
        assert_eq!(window.sums(start + Duration::from_secs(1000)), (0, 0));
        window.count(start + Duration::from_secs(1001), true);
        assert_eq!(window.sums(start + Duration::from_secs(1002)), (1, 1));
    }
}
