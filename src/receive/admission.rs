//! The byte budget of all clients together, and how long one waits for a share of it.
//!
//! A share is held from before a body is read until the body is on disk or refused, so that memory does not depend on
//! the number of clients. It grows with the bytes that arrive, a slab ahead of them: a client that announces much and
//! sends little holds little. Who gets no share within [`PATIENCE`] is told to come back, well before its own deadline
//! makes it send the same again.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

use super::refusal::Refusal;
use super::stats::{Held, Stats};

/// How long a request waits for room, all its waits together.
const PATIENCE: Duration = Duration::from_secs(2);

/// Within which a client gets an answer, not counting the time that it takes to send. The usual deadline of collectors
/// is 5 s, and an answer that comes later makes duplicates.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// How far a share may be ahead of the bytes that have come. Most requests are smaller, and so ask once.
const SLAB: usize = 256 << 10;

/// The budget of both doors.
#[derive(Debug)]
pub(super) struct Admission {
    free: Semaphore,
    capacity: AtomicUsize,
    /// Bytes that are held beyond a budget that became smaller: they are gone when they come back.
    excess: AtomicUsize,
}

impl Admission {
    /// A budget of so many bytes, at least one slab.
    pub(super) fn new(bytes: usize) -> Admission {
        let capacity = clamped(bytes);
        Admission { free: Semaphore::new(capacity), capacity: AtomicUsize::new(capacity), excess: AtomicUsize::new(0) }
    }

    /// Another budget from now on. What is held keeps its share; a smaller budget is reached as shares come back.
    pub(super) fn resize(&self, bytes: usize) {
        let capacity = clamped(bytes);
        let before = self.capacity.swap(capacity, Relaxed);
        let less = before.saturating_sub(capacity);
        self.excess.fetch_add(less - self.free.forget_permits(less), Relaxed);
        let more = capacity.saturating_sub(before);
        self.free.add_permits(more - self.settle(more));
    }

    /// Takes so many bytes off the excess, or as many as it has.
    fn settle(&self, bytes: usize) -> usize {
        let settled = |excess: usize| Some(excess.saturating_sub(bytes));
        let before = self.excess.fetch_update(Relaxed, Relaxed, settled).unwrap_or_default();
        before.min(bytes)
    }

    /// A request that holds nothing yet. `deadline` is the client's own, if it named one.
    pub(super) fn room<'a>(&'a self, stats: &'a Stats, deadline: Option<Duration>) -> Room<'a> {
        // At most half of the client's time, so that the other half is there to hear that it should come back.
        let patience = deadline.map_or(PATIENCE, |deadline| PATIENCE.min(deadline / 2));
        let capacity = self.capacity.load(Relaxed);
        Room { admission: self, stats, capacity, share: None, size: 0, patience, waited: Duration::ZERO }
    }
}

/// What one request holds of the budget; it goes back when this is dropped.
#[derive(Debug)]
pub(super) struct Room<'a> {
    admission: &'a Admission,
    stats: &'a Stats,
    /// The whole budget when it came.
    capacity: usize,
    share: Option<(SemaphorePermit<'a>, Held<'a>)>,
    /// Bytes that may be held: the share, but for what exceeds the whole budget.
    size: usize,
    patience: Duration,
    waited: Duration,
}

impl<'a> Room<'a> {
    /// Makes sure that the request may hold `arrived` bytes; `expected` is its length as announced, if it was.
    ///
    /// A request larger than the whole budget gets all of it, and is alone then.
    ///
    /// # Errors
    /// [`Refusal::Overloaded`] when there was no room in time.
    pub(super) async fn fit(&mut self, arrived: usize, expected: Option<usize>) -> Result<(), Refusal> {
        if arrived <= self.size {
            return Ok(());
        }
        let ahead = SLAB.max(2 * self.size);
        let size = arrived.max(expected.map_or(ahead, |expected| ahead.min(expected)));
        let capacity = self.capacity;
        let more = size.min(capacity) - self.size.min(capacity);
        if more > 0 {
            let permit = self.take(more as u32).await?;
            let held = self.stats.hold(more);
            match &mut self.share {
                Some((have, gauge)) => {
                    have.merge(permit);
                    gauge.merge(held);
                }
                none => *none = Some((permit, held)),
            }
        }
        self.size = size;
        Ok(())
    }

    /// How long the request may still wait for its turn anywhere.
    pub(super) fn patience(&self) -> Duration {
        self.patience.saturating_sub(self.waited)
    }

    /// By when the client gets an answer, its last byte having come now.
    pub(super) fn answer_by(&self) -> Instant {
        Instant::now() + ANSWER_WITHIN.saturating_sub(self.waited)
    }

    async fn take(&mut self, bytes: u32) -> Result<SemaphorePermit<'a>, Refusal> {
        let admission = self.admission;
        if let Ok(permit) = admission.free.try_acquire_many(bytes) {
            return Ok(permit);
        }
        let since = Instant::now();
        let permit = timeout(self.patience(), admission.free.acquire_many(bytes)).await;
        self.waited += since.elapsed();
        permit.ok().and_then(Result::ok).ok_or(Refusal::Overloaded)
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.stats.waited(self.waited);
        if let Some((mut share, _)) = self.share.take()
            && let Some(gone) = share.split(self.admission.settle(share.num_permits()))
        {
            gone.forget();
        }
    }
}

/// A budget that can be kept.
fn clamped(bytes: usize) -> usize {
    bytes.clamp(SLAB, Semaphore::MAX_PERMITS.min(u32::MAX as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: usize = 4 * SLAB;

    /// One request holds the whole budget, another wants a byte.
    /// Guarantees that the other waits two seconds and is refused, and that it gets its share at once when there is one.
    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_is_told_so_within_two_seconds() {
        let (admission, stats) = (Admission::new(BUDGET), Stats::new());
        let mut first = admission.room(&stats, None);
        first.fit(BUDGET, Some(BUDGET)).await.unwrap();
        assert_eq!(stats.snapshot().inflight_bytes, BUDGET as u64);

        let mut second = admission.room(&stats, None);
        let since = Instant::now();
        assert!(matches!(second.fit(1, Some(1)).await, Err(Refusal::Overloaded)));
        assert_eq!(since.elapsed().as_secs(), 2);
        assert_eq!(second.patience(), Duration::ZERO);
        assert!(second.answer_by() - since <= Duration::from_secs(4));

        let mut hurried = admission.room(&stats, Some(Duration::from_secs(1)));
        let since = Instant::now();
        assert!(hurried.fit(1, Some(1)).await.is_err());
        assert_eq!(since.elapsed().as_millis(), 500, "half of its own deadline");

        drop(first);
        let mut third = admission.room(&stats, None);
        third.fit(BUDGET, Some(BUDGET)).await.unwrap();
        drop(third);
        assert_eq!(stats.snapshot().inflight_bytes, 0);
    }

    /// A request larger than the budget, announced and not.
    /// Guarantees that it gets the whole budget rather than waiting for ever.
    #[tokio::test(start_paused = true)]
    async fn a_request_larger_than_the_budget_gets_all_of_it() {
        let (admission, stats) = (Admission::new(BUDGET), Stats::new());
        for expected in [Some(3 * BUDGET), None] {
            let mut room = admission.room(&stats, None);
            for arrived in (0..=3 * BUDGET).step_by(16 << 10) {
                room.fit(arrived, expected).await.unwrap();
            }
            assert_eq!(stats.snapshot().inflight_bytes, BUDGET as u64);
        }
        assert_eq!(stats.snapshot().inflight_bytes, 0);
    }

    /// The budget becomes smaller while all of it is held, larger again, and smaller.
    /// Guarantees that no more is given out than it is by then, and in the end all of it.
    #[tokio::test(start_paused = true)]
    async fn a_budget_that_changes_is_kept() {
        let (admission, stats) = (Admission::new(BUDGET), Stats::new());
        let mut rooms = Vec::new();
        for _ in 0..4 {
            let mut room = admission.room(&stats, None);
            room.fit(SLAB, Some(SLAB)).await.unwrap();
            rooms.push(room);
        }
        admission.resize(SLAB);
        rooms.truncate(1);
        assert!(admission.room(&stats, None).fit(1, Some(1)).await.is_err(), "one slab is held, and one there is");
        admission.resize(3 * SLAB);
        let mut two = admission.room(&stats, None);
        two.fit(2 * SLAB, Some(2 * SLAB)).await.unwrap();
        assert!(admission.room(&stats, None).fit(1, Some(1)).await.is_err());
        admission.resize(SLAB);
        admission.resize(2 * SLAB);
        drop(two);
        drop(rooms);
        assert_eq!(admission.free.available_permits(), 2 * SLAB);
    }

    /// Clients that announce the whole budget each and send one byte.
    /// Guarantees that each holds a slab only.
    #[tokio::test(start_paused = true)]
    async fn who_announces_much_and_sends_little_holds_little() {
        let (admission, stats) = (Admission::new(BUDGET), Stats::new());
        let mut rooms = Vec::new();
        for _ in 0..BUDGET / SLAB {
            let mut room = admission.room(&stats, None);
            room.fit(1, Some(BUDGET)).await.unwrap();
            rooms.push(room);
        }
        assert_eq!(stats.snapshot().inflight_bytes, BUDGET as u64);
    }
}
