//! What a target bears, learned from its complaints: how much backlog beside the fresh data, and how fast the fresh data that
//! gathered while it had to be left alone. Pure.
//!
//! Concurrency cannot find that out: one request at a time is plenty for a hub that answers in a millisecond. So each "too much"
//! halves the backlog's rate, and as long as that rate is what holds the backlog back it grows, slowly at first and ever faster:
//! the target's limit is met rarely, and one that has gone is left behind within a minute. What was learned is kept until then.
//! So it is with what gathered: sent as fast as it can, it would bring on the next pause, and then there would be nothing but pauses.
//! Before the first complaint nothing is limited. It knows neither the configured rate nor concurrency.

use std::time::Duration;

use tokio::time::Instant;

use super::bucket::Bucket;
use crate::batch::Signal;
use crate::queue::Lane;

/// A target that says "too much" gets this share of the backlog's rate from then on.
const CUT: f64 = 0.5;

/// Growth a second up to this share of what was too much: what is known to be borne is won back within some seconds.
const RECOVERY: f64 = 0.15;
const KNOWN: f64 = 0.85;

/// Growth a second from there on, and the seconds after a cut in which it doubles.
const GROWTH: f64 = 0.01;
const GROWTH_DOUBLES: f64 = 10.0;

/// Fastest growth a second.
const MOST_GROWTH: f64 = 1.0;

/// Least rate in bytes a second, however often a target says "too much": the backlog never stands still.
const LEAST: f64 = (16 << 10) as f64;

/// What gathered during a pause goes out at so many times the rate at which data comes in, or with what the backlog gives up.
const CATCH_UP: f64 = 2.0;

/// Time over which the rate is taken at which data comes in, in seconds.
const INTAKE_OVER: f64 = 5.0;

/// Time over which the backlog's rate is measured, and over which it counts as the cause of a complaint.
const LATELY: Duration = Duration::from_secs(1);

/// Shortest time that a rate is measured over.
const LEAST_SPAN: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub struct Bearing {
    /// Bytes of backlog a second.
    limit: Option<Borne>,
    cut_at: Instant,
    grown_at: Instant,
    /// Whether the limit held something back since it last grew.
    held_back: bool,
    backlog: Bucket,
    /// Bytes that come in a second, of which fresh data is made, once known; and when that was told last.
    intake: Option<f64>,
    told_at: Instant,
    catch_up: Option<CatchUp>,
    /// The share of its pace at which the last one ended.
    caught_up_at: Borne,
    backlog_sent_at: Option<Instant>,
    taken: Taken,
}

/// Fresh data that gathered in a pause goes at a pace, until it no longer needs all of that.
#[derive(Debug)]
struct CatchUp {
    bucket: Bucket,
    /// Of the pace that is hoped for, in (0, 1]: less after complaints.
    share: Borne,
    grown_at: Instant,
    cut_at: Instant,
}

/// What is held to be borne, and what was too much last.
#[derive(Debug, Clone, Copy)]
struct Borne {
    now: f64,
    too_much: f64,
}

/// What the target took since its last complaint.
#[derive(Debug, Default)]
struct Taken {
    anything: bool,
    /// Backlog of the last one or two [`LATELY`], and since when.
    backlog: f64,
    since: Option<Instant>,
}

impl Bearing {
    /// Of a target that has not complained yet.
    pub fn new(now: Instant) -> Bearing {
        Bearing {
            limit: None,
            cut_at: now,
            grown_at: now,
            held_back: false,
            backlog: Bucket::new(now),
            intake: None,
            told_at: now,
            catch_up: None,
            caught_up_at: Borne::ALL,
            backlog_sent_at: None,
            taken: Taken::default(),
        }
    }

    /// Bytes of backlog a second that it bears, once it has complained.
    pub fn limit(&self) -> Option<f64> {
        self.limit.map(|limit| limit.now)
    }

    /// Tells of bytes that came in since the last call.
    pub fn took_in(&mut self, now: Instant, bytes: f64) {
        let passed = now.saturating_duration_since(self.told_at).max(LEAST_SPAN).as_secs_f64();
        self.told_at = self.told_at.max(now);
        let rate = bytes / passed;
        let weight = 1.0 - (-passed / INTAKE_OVER).exp();
        self.intake = Some(self.intake.map_or(rate, |intake| intake + (rate - intake) * weight));
    }

    /// Whether fresh data may go now; if not, when. Only what gathered is ever held, and only for as long as that takes to leave.
    pub fn fresh_ready(&mut self, now: Instant, signal: Signal) -> Result<(), Instant> {
        let Some((catch_up, rate)) = self.catching_up() else { return Ok(()) };
        if catch_up.bucket.is_full(now, rate) {
            (self.caught_up_at, self.catch_up) = (catch_up.share, None);
            return Ok(());
        }
        let ready = catch_up.bucket.ready(now, rate, signal);
        if ready.is_err() {
            catch_up.grow(now);
        }
        ready
    }

    /// What is caught up with, and at how many bytes a second.
    fn catching_up(&mut self) -> Option<(&mut CatchUp, f64)> {
        let (intake, limit) = (self.intake?, self.limit().unwrap_or_default());
        let catch_up = self.catch_up.as_mut()?;
        let rate = (CATCH_UP * intake).max(intake + limit).max(LEAST) * catch_up.share.now;
        Some((catch_up, rate))
    }

    /// Whether backlog may go now; if not, when. Not while fresh data has to wait.
    pub fn backlog_ready(&mut self, now: Instant, signal: Signal) -> Result<(), Instant> {
        self.grow(now);
        let Some(limit) = self.limit() else { return Ok(()) };
        if let Some((catch_up, rate)) = self.catching_up()
            && let Some(at) = catch_up.bucket.empty_until(now, rate)
        {
            return Err(at);
        }
        let ready = self.backlog.ready(now, limit, signal);
        self.held_back = ready.is_err();
        ready
    }

    /// A batch goes.
    pub fn sent(&mut self, now: Instant, lane: Lane, bytes: usize) {
        match lane {
            Lane::Fresh => {
                if let Some(catch_up) = &mut self.catch_up {
                    catch_up.bucket.spend(bytes as f64);
                }
            }
            Lane::Backlog => {
                self.backlog.spend(bytes as f64);
                self.backlog_sent_at = Some(now);
            }
        }
    }

    /// A batch was taken.
    pub fn taken(&mut self, now: Instant, lane: Lane, bytes: usize) {
        self.taken.anything = true;
        if lane == Lane::Backlog {
            self.taken.add(now, bytes as f64);
        }
    }

    /// The target said "too much", once for all that was under way in that moment, first to a batch of that lane, and asks for that
    /// `delay`; `rest` is what it gets in any case. Whether fresh data, too, is to rest: it was fresh data that was too much.
    ///
    /// One that takes nothing at all says nothing about rates, and has enough of everything.
    pub fn complained(&mut self, now: Instant, lane: Lane, delay: Duration, rest: Duration) -> bool {
        let took = self.taken.anything;
        let lately = |at: Instant| now < at + LATELY;
        let all_rest = lane == Lane::Fresh || !took || !self.backlog_sent_at.is_some_and(lately);
        let (share, cut_at) = match &self.catch_up {
            // Refusals that follow one another closely are one lesson.
            Some(catch_up) if took && !lately(catch_up.cut_at) => (Borne::cut(catch_up.share.now), now),
            Some(catch_up) => (catch_up.share, catch_up.cut_at),
            None => (self.caught_up_at, now),
        };
        // Nothing is saved up in the pause.
        let from = now + if all_rest { delay.max(rest) } else { delay };
        self.catch_up = Some(CatchUp { bucket: Bucket::new(from), share, grown_at: from, cut_at });
        if took {
            let taken = std::mem::take(&mut self.taken);
            let anew = !lately(self.cut_at) || self.backlog_sent_at.is_some_and(|at| at >= self.cut_at);
            if anew && let Some(had) = self.limit().or_else(|| taken.rate(now)) {
                let cut = Borne::cut(had);
                self.limit = Some(Borne { now: cut.now.max(LEAST), ..cut });
                (self.cut_at, self.held_back) = (now, false);
            }
        }
        all_rest
    }

    /// Forgets what was learned: the target was away, and may have come back as another.
    pub fn forget(&mut self) {
        (self.limit, self.held_back) = (None, false);
        (self.catch_up, self.caught_up_at) = (None, Borne::ALL);
    }

    fn grow(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.grown_at).min(LATELY).as_secs_f64();
        self.grown_at = self.grown_at.max(now);
        if std::mem::take(&mut self.held_back) {
            let since = now.saturating_duration_since(self.cut_at).as_secs_f64();
            let beyond = (GROWTH * (since / GROWTH_DOUBLES).exp2()).min(MOST_GROWTH);
            self.limit = self.limit.map(|limit| limit.grown(passed, beyond));
        }
    }
}

impl CatchUp {
    /// It is what holds fresh data back.
    fn grow(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.grown_at).min(LATELY).as_secs_f64();
        self.grown_at = self.grown_at.max(now);
        let grown = self.share.grown(passed, GROWTH);
        self.share = Borne { now: grown.now.min(1.0), ..grown };
    }
}

impl Borne {
    /// All that is hoped for.
    const ALL: Borne = Borne { now: 1.0, too_much: 1.0 };

    /// After so much was too much.
    fn cut(too_much: f64) -> Borne {
        Borne { now: too_much * CUT, too_much }
    }

    /// After so many seconds; `beyond` is the growth a second beyond what is known to be borne.
    fn grown(self, passed: f64, beyond: f64) -> Borne {
        let growth = if self.now < self.too_much * KNOWN { RECOVERY } else { beyond };
        Borne { now: self.now * (1.0 + growth * passed), ..self }
    }
}

impl Taken {
    fn add(&mut self, now: Instant, bytes: f64) {
        let since = self.since.filter(|since| now < *since + 2 * LATELY);
        (self.since, self.backlog) = match since {
            Some(since) if now >= since + LATELY => {
                let half = (now - since) / 2;
                (Some(now - half), self.backlog / 2.0)
            }
            Some(since) => (Some(since), self.backlog),
            None => (Some(now), 0.0),
        };
        self.backlog += bytes;
    }

    /// Bytes of backlog a second; `None` when there was none lately.
    fn rate(&self, now: Instant) -> Option<f64> {
        let age = now.saturating_duration_since(self.since?);
        (age < 2 * LATELY).then(|| self.backlog / age.max(LEAST_SPAN).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MILLI: Duration = Duration::from_millis(1);
    const BATCH: usize = 10_000;

    /// A hub that takes so many bytes a second, with a tenth of a second's worth saved up.
    struct Hub {
        capacity: f64,
        room: f64,
        at: Instant,
    }

    impl Hub {
        fn takes(&mut self, now: Instant, bytes: usize) -> bool {
            let room = self.room + self.capacity * (now - self.at).as_secs_f64();
            (self.at, self.room) = (now, room.min(self.capacity / 10.0));
            let takes = self.room >= bytes as f64;
            self.room -= if takes { bytes as f64 } else { 0.0 };
            takes
        }
    }

    /// Without a delay. Whether fresh data is to rest, too.
    fn complain(bearing: &mut Bearing, now: Instant, lane: Lane) -> bool {
        bearing.complained(now, lane, Duration::ZERO, Duration::ZERO)
    }

    /// Sends backlog as fast as allowed, 8 MB a second at most; batches that were taken and refused in the last ten of `seconds`.
    fn against(hub: &mut Hub, bearing: &mut Bearing, seconds: u32) -> (usize, usize) {
        let (mut now, end) = (hub.at, hub.at + seconds * SECOND);
        let mut counts = (0, 0);
        while now < end {
            if let Err(at) = bearing.backlog_ready(now, Signal::Logs) {
                now = at;
                continue;
            }
            bearing.sent(now, Lane::Backlog, BATCH);
            let takes = hub.takes(now, BATCH);
            now += MILLI;
            let counted = usize::from(now + 10 * SECOND > end);
            if takes {
                bearing.taken(now, Lane::Backlog, BATCH);
                counts.0 += counted;
            } else {
                bearing.complained(now, Lane::Backlog, Duration::ZERO, Duration::ZERO);
                counts.1 += counted;
                now += SECOND / 2; // as the target's backoff has it
            }
        }
        counts
    }

    /// A hub of fixed capacity, which halves, and then takes everything.
    /// Guarantees that two thirds of what it takes are used at least, that hardly anything is refused, and that a limit that has gone
    /// is left behind.
    #[test]
    fn it_finds_out_what_a_target_bears() {
        let start = Instant::now();
        let (mut hub, mut bearing) = (Hub { capacity: 0.0, room: 0.0, at: start }, Bearing::new(start));
        for capacity in [1_500_000.0, 750_000.0, 200_000.0] {
            hub.capacity = capacity;
            let (taken, refused) = against(&mut hub, &mut bearing, 60);
            assert!((taken * BATCH) as f64 > capacity * 10.0 * 0.66, "{taken} batches at {capacity} bytes a second");
            assert!(refused <= 3, "{refused} refused, {taken} taken");
        }
        hub.capacity = 1e9;
        let (taken, _) = against(&mut hub, &mut bearing, 90);
        assert!(taken * BATCH > 40_000_000, "{taken}");
    }

    /// Complaints of a hub that takes nothing at all; of one that gets no backlog; and many of one that takes some, of fresh data too.
    /// Guarantees that right after a cut only backlog that was sent since brings on the next, that fresh data rests when it was too much
    /// itself, and that the rate never falls below the least.
    #[test]
    fn only_what_was_taken_tells_of_rates() {
        let mut now = Instant::now();
        let mut bearing = Bearing::new(now);
        let mut send = |bearing: &mut Bearing, lane| {
            now += MILLI;
            bearing.sent(now, lane, BATCH);
            now
        };
        let at = send(&mut bearing, Lane::Backlog);
        assert!(complain(&mut bearing, at, Lane::Backlog), "nothing was taken");
        assert_eq!(bearing.limit(), None);
        let at = send(&mut bearing, Lane::Fresh) + 2 * LATELY;
        bearing.taken(at, Lane::Fresh, BATCH);
        assert!(complain(&mut bearing, at, Lane::Backlog), "no backlog went lately");
        assert_eq!(bearing.limit(), None);
        let mut before = f64::INFINITY;
        for _ in 0..30 {
            let at = send(&mut bearing, Lane::Backlog);
            bearing.taken(at, Lane::Backlog, BATCH);
            assert!(!complain(&mut bearing, at + MILLI / 4, Lane::Backlog), "backlog went");
            let limit = bearing.limit().expect("learned");
            assert!(complain(&mut bearing, at, Lane::Backlog), "nothing was taken in between");
            bearing.taken(at, Lane::Fresh, BATCH);
            assert!(complain(&mut bearing, at + MILLI / 2, Lane::Fresh), "it was fresh data");
            assert_eq!(bearing.limit(), Some(limit), "no backlog was sent in between");
            assert!(limit < before || limit == LEAST);
            before = limit;
        }
        assert_eq!(before, LEAST);
        bearing.forget();
        assert_eq!(bearing.limit(), None);
    }

    /// Fresh data alone, of which the hub bears half as much again; each complaint is about a pause of three seconds.
    /// Guarantees that what gathers is caught up with: sent faster than the hub bears, it would be in pauses nearly all the time.
    #[test]
    fn catching_up_keeps_to_what_the_target_bears() {
        let start = Instant::now();
        let (mut hub, mut bearing) = (Hub { capacity: 750_000.0, room: 0.0, at: start }, Bearing::new(start));
        let (mut gathered, mut pauses, mut silent_until) = (0, 0, start);
        // A batch every 20 ms, for two minutes.
        for milli in 0..120_000u32 {
            let now = start + milli * MILLI;
            gathered += usize::from(milli % 20 == 0);
            if milli % 2000 == 0 && milli > 0 {
                bearing.took_in(now, 1_000_000.0);
            }
            while gathered > 0 && now >= silent_until && bearing.fresh_ready(now, Signal::Logs).is_ok() {
                bearing.sent(now, Lane::Fresh, BATCH);
                if hub.takes(now, BATCH) && milli != 5000 {
                    bearing.taken(now, Lane::Fresh, BATCH);
                    gathered -= 1;
                } else {
                    bearing.complained(now, Lane::Fresh, 3 * SECOND, SECOND);
                    (pauses, silent_until) = (pauses + 1, now + 3 * SECOND);
                }
            }
        }
        assert!(gathered <= 10 && (2..=4).contains(&pauses), "{gathered} are left after {pauses} pauses");
    }

    /// A hub that bore next to nothing goes away and comes back as another.
    /// Guarantees that all is forgotten: neither backlog nor what gathered goes at the old pace.
    #[test]
    fn what_was_learned_of_one_that_was_away_is_forgotten() {
        let start = Instant::now();
        let mut bearing = Bearing::new(start);
        let complaints = |bearing: &mut Bearing, from: u32, many: u32| {
            for second in from..from + many {
                let now = start + 2 * second * SECOND;
                bearing.took_in(now, 100_000.0);
                bearing.sent(now, Lane::Backlog, BATCH);
                bearing.taken(now, Lane::Backlog, BATCH);
                complain(bearing, now, Lane::Fresh);
            }
            start + 2 * (from + many - 1) * SECOND
        };
        let sent_in_a_second = |bearing: &mut Bearing, from: Instant| {
            let times = (0..1000).map(|milli| from + milli * MILLI);
            times
                .filter(|now| {
                    bearing.fresh_ready(*now, Signal::Logs).map(|()| bearing.sent(*now, Lane::Fresh, BATCH)).is_ok()
                })
                .count()
        };
        let now = complaints(&mut bearing, 0, 8);
        assert!(sent_in_a_second(&mut bearing, now) <= 5, "what is learned holds");
        bearing.forget();
        assert_eq!(bearing.limit(), None);
        assert_eq!(
            sent_in_a_second(&mut bearing, now + SECOND),
            1000,
            "nothing gathered that has to be caught up with"
        );
        let now = complaints(&mut bearing, 10, 1);
        assert!(sent_in_a_second(&mut bearing, now) > 5, "one complaint is one lesson");
    }

    /// Fresh data flows, gathers during a pause, and flows again; there is always backlog.
    /// Guarantees that a steady flow is not held, that what gathered goes out at a pace and at once ahead of the backlog, and that it
    /// is gone within the length of the pause.
    #[test]
    fn what_gathered_in_a_pause_goes_at_a_pace_and_first() {
        let start = Instant::now();
        let mut bearing = Bearing::new(start);
        bearing.sent(start, Lane::Backlog, 100_000);
        bearing.taken(start, Lane::Backlog, 100_000);
        complain(&mut bearing, start + SECOND, Lane::Backlog);
        let limit = bearing.limit().expect("learned");
        bearing.took_in(start + SECOND, 500_000.0);
        let (mut gathered, mut backlog, mut freed) = (0, 0, None);
        // A fresh batch every 20 ms; a pause in the 10th second.
        for milli in 0..12_000u32 {
            let now = start + SECOND + milli * MILLI;
            gathered += usize::from(milli % 20 == 0);
            if (10_000..11_000).contains(&milli) {
                if milli == 10_000 {
                    bearing.taken(now, Lane::Fresh, BATCH);
                    bearing.complained(now, Lane::Fresh, SECOND, Duration::ZERO);
                }
                continue;
            }
            while gathered > 0 && bearing.fresh_ready(now, Signal::Logs).is_ok() {
                bearing.sent(now, Lane::Fresh, BATCH);
                gathered -= 1;
            }
            assert!(!(2000..10_000).contains(&milli) || gathered <= 1, "{gathered} were held after {milli} ms");
            if milli >= 11_000 && gathered > 1 {
                assert!(bearing.backlog_ready(now, Signal::Logs).is_err(), "backlog ahead of fresh data");
            } else if milli >= 11_000 {
                freed.get_or_insert(milli - 11_000);
            }
            if bearing.backlog_ready(now, Signal::Traces).is_ok() {
                bearing.sent(now, Lane::Backlog, BATCH);
                backlog += BATCH;
            }
        }
        let freed = freed.expect("all that gathered is gone");
        assert!((500..=1000).contains(&freed), "after {freed} ms");
        assert!(backlog as f64 > 9.0 * limit, "{backlog}");
    }
}
