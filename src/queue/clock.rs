//! Two clocks: the time of day, for records that people read, and the queue's own, by which the age of a batch is told.
//!
//! The time of day can be set, and then everything would be a year old, or nothing ever would. So each batch is stamped with
//! the queue's clock, which goes on with the system's monotonic clock while the process runs, and from a saved reading over
//! restarts: by the monotonic clock again as long as the machine was not booted anew, by the time of day otherwise, which
//! never makes it go back. Where the two clocks part by more than five minutes somebody set the time: ages are still right,
//! but nothing is removed for its age during the next hour, so that a person may look first.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use super::codec::meta::Reading;

/// A step of the time of day below this is a correction, and not worth a word.
const STEP_MS: u64 = 5 * 60 * 1000;
/// For this long after a step nothing is removed for its age.
const PAUSE_MS: u64 = 60 * 60 * 1000;

/// Milliseconds since the Unix epoch, as the time of day has it.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The clocks of the machine, as something that a test can replace.
pub(super) trait System: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn wall_ms(&self) -> u64;

    /// Milliseconds since the machine was booted, including the time that it was suspended.
    fn since_boot_ms(&self) -> u64;

    /// A number that is another one after each boot.
    fn boot(&self) -> u128;
}

/// The machine's own clocks.
pub(super) struct Machine;

impl System for Machine {
    fn wall_ms(&self) -> u64 {
        now_ms()
    }

    fn since_boot_ms(&self) -> u64 {
        let time = clock_gettime(ClockId::Boottime);
        time.tv_sec.unsigned_abs() * 1000 + time.tv_nsec.unsigned_abs() / 1_000_000
    }

    fn boot(&self) -> u128 {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        u128::from_str_radix(&text.trim().replace('-', ""), 16).unwrap_or_else(|_| rand::random())
    }
}

/// The queue's clock.
pub(super) struct Clock {
    system: Box<dyn System>,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// All clocks as they were read together the last time.
    last: Reading,
    /// How far the time of day was set, the last time that it was, and when on the queue's clock.
    step: Option<(i64, u64)>,
    /// Whether a saved reading was asked for.
    resumed: bool,
}

impl Clock {
    /// A clock that goes with the time of day.
    pub(super) fn new(system: Box<dyn System>) -> Clock {
        let wall_ms = system.wall_ms();
        let last = Reading { queue_ms: wall_ms, wall_ms, since_boot_ms: system.since_boot_ms(), boot: system.boot() };
        Clock { system, state: Mutex::new(State { last, step: None, resumed: false }) }
    }

    /// Goes on from a saved reading, the first time that there is one.
    pub(super) fn resume(&self, saved: Option<Reading>) {
        let mut state = self.lock();
        let now = state.last;
        let Some(saved) = saved.filter(|_| !state.resumed) else {
            state.resumed = true;
            return;
        };
        let wall = now.wall_ms.cast_signed().saturating_sub(saved.wall_ms.cast_signed());
        let same_boot = now.since_boot_ms.checked_sub(saved.since_boot_ms).filter(|_| now.boot == saved.boot);
        let (queue_ms, step_ms) = match same_boot {
            Some(passed) => (saved.queue_ms + passed, wall.saturating_sub_unsigned(passed)),
            None => (saved.queue_ms + wall.max(0).unsigned_abs(), wall.min(0)),
        };
        (state.last.queue_ms, state.resumed) = (queue_ms, true);
        self.note_step(&mut state, step_ms);
    }

    /// Milliseconds on the queue's clock: close to those since the Unix epoch, as long as nobody set the time.
    pub(super) fn now_ms(&self) -> u64 {
        let last = self.lock().last;
        last.queue_ms + self.system.since_boot_ms().saturating_sub(last.since_boot_ms)
    }

    /// Compares the clocks. A reading that is to be saved, if the time of day was set since the last look.
    pub(super) fn look(&self) -> Option<Reading> {
        let (wall_ms, since_boot_ms) = (self.system.wall_ms(), self.system.since_boot_ms());
        let mut state = self.lock();
        let last = state.last;
        let passed = since_boot_ms.saturating_sub(last.since_boot_ms);
        state.last = Reading { queue_ms: last.queue_ms + passed, wall_ms, since_boot_ms, boot: last.boot };
        let step = wall_ms.cast_signed().saturating_sub(last.wall_ms.cast_signed()).saturating_sub_unsigned(passed);
        self.note_step(&mut state, step).then_some(state.last)
    }

    /// All clocks together, to be saved.
    pub(super) fn reading(&self) -> Reading {
        self.look();
        self.lock().last
    }

    /// By how many milliseconds the time of day was set, while nothing is removed for its age because of that.
    pub(super) fn suspended(&self) -> Option<i64> {
        let now = self.now_ms();
        self.lock().step.filter(|(_, at)| now.saturating_sub(*at) < PAUSE_MS).map(|(step, _)| step)
    }

    /// A time on the queue's clock, as the time of day has it now.
    pub(super) fn to_wall(&self, queue_ms: u64) -> u64 {
        let last = self.lock().last;
        (last.wall_ms + queue_ms).saturating_sub(last.queue_ms)
    }

    fn note_step(&self, state: &mut State, step_ms: i64) -> bool {
        let set = step_ms.unsigned_abs() > STEP_MS;
        if set {
            state.step = Some((step_ms, state.last.queue_ms));
            tracing::warn!(
                by_seconds = step_ms / 1000,
                "the system's clock was set: nothing is removed for its age during the next hour"
            );
        }
        set
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clock").field("state", &*self.lock()).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod testing {
    use std::sync::Arc;

    use super::*;

    /// Clocks that stand still until they are moved.
    #[derive(Debug, Clone)]
    pub(in crate::queue) struct Hands(Arc<Mutex<(u64, u64, u128)>>);

    impl Hands {
        pub(in crate::queue) fn at(wall_ms: u64) -> Hands {
            Hands(Arc::new(Mutex::new((wall_ms, 1_000_000, 1))))
        }

        /// Time passes.
        pub(in crate::queue) fn pass(&self, ms: u64) {
            let mut hands = self.0.lock().unwrap();
            hands.0 += ms;
            hands.1 += ms;
        }

        /// Somebody sets the time.
        pub(in crate::queue) fn set_by(&self, ms: i64) {
            let mut hands = self.0.lock().unwrap();
            hands.0 = hands.0.checked_add_signed(ms).unwrap();
        }

        /// The machine is booted anew.
        pub(in crate::queue) fn boot(&self) {
            let mut hands = self.0.lock().unwrap();
            (hands.1, hands.2) = (5, hands.2 + 1);
        }
    }

    impl System for Hands {
        fn wall_ms(&self) -> u64 {
            self.0.lock().unwrap().0
        }

        fn since_boot_ms(&self) -> u64 {
            self.0.lock().unwrap().1
        }

        fn boot(&self) -> u128 {
            self.0.lock().unwrap().2
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Hands;
    use super::*;

    const NOW: u64 = 1_700_000_000_000;
    const HOUR: u64 = 3_600_000;
    const YEAR: u64 = 365 * 24 * HOUR;

    fn clock(hands: &Hands, saved: Option<Reading>) -> Clock {
        let clock = Clock::new(Box::new(hands.clone()));
        clock.resume(saved);
        clock
    }

    /// Scenario: the time is set by an hour and by a year, forth and back, while the process runs. Guarantee: the queue's
    /// clock goes on as if nothing had happened, it is said for an hour, and asked to be saved once.
    #[test]
    fn a_step_of_the_time_of_day_ages_nothing() {
        for step in [HOUR, YEAR].map(u64::cast_signed).into_iter().flat_map(|step| [step, -step]) {
            let hands = Hands::at(NOW);
            let clock = clock(&hands, None);
            hands.pass(1000);
            assert_eq!((clock.look(), clock.suspended()), (None, None));
            hands.set_by(step);
            hands.pass(1000);
            assert_eq!(clock.look().map(|reading| reading.queue_ms), Some(NOW + 2000), "{step}");
            assert_eq!((clock.now_ms(), clock.suspended(), clock.look()), (NOW + 2000, Some(step), None));
            assert_eq!(clock.to_wall(NOW), NOW.strict_add_signed(step), "ages are the same in both");
            hands.pass(HOUR);
            assert_eq!((clock.now_ms(), clock.suspended()), (NOW + 2000 + HOUR, None));
        }
    }

    #[test]
    fn a_small_correction_is_not_worth_a_word() {
        let hands = Hands::at(NOW);
        let clock = clock(&hands, None);
        hands.set_by(-4 * 60 * 1000);
        assert_eq!((clock.look(), clock.suspended(), clock.now_ms()), (None, None, NOW));
    }

    /// Scenario: the process is down for a day, on a machine that keeps running and on one that is booted meanwhile, with
    /// the time set by an hour or a year in that time. Guarantee: without a boot the day is counted and the step is
    /// noticed, whatever its direction; over a boot the clock never goes back.
    #[test]
    fn the_clock_goes_on_over_a_restart() {
        let day = 24 * HOUR;
        for step in [HOUR, YEAR].map(u64::cast_signed).into_iter().flat_map(|step| [step, -step]) {
            let hands = Hands::at(NOW);
            let saved = clock(&hands, None).reading();
            hands.pass(day);
            hands.set_by(step);
            let same_boot = clock(&hands, Some(saved));
            assert_eq!((same_boot.now_ms(), same_boot.suspended()), (NOW + day, Some(step)));
            hands.boot();
            let other_boot = clock(&hands, Some(saved));
            match u64::try_from(day.cast_signed() + step) {
                Ok(passed) => assert_eq!((other_boot.now_ms(), other_boot.suspended()), (NOW + passed, None)),
                Err(_) => assert!(other_boot.now_ms() == NOW && other_boot.suspended().is_some()),
            }
        }
    }

    #[test]
    fn the_machine_has_clocks() {
        let clock = Clock::new(Box::new(Machine));
        assert!(clock.now_ms() > NOW && Machine.since_boot_ms() > 0);
        assert_eq!(Machine.boot(), Machine.boot());
    }
}
