//! The byte budget of all clients together, and how long one waits for a share of it.
//!
//! A share is held from before a body is read until the body is on disk or refused, so that memory does not depend on
//! the number of clients. It grows with the bytes that arrive: a client that announces much and sends little holds little.
//! Who gets no share within [`PATIENCE`] is told to come back, well before its own deadline makes it send the same again.
//!
//! A connection has at most half of the budget, so that none can take it all. And what waits lies unread in the windows of
//! its connection, which no budget covers: so waiting has a budget of its own, of the same size, and who finds it used up is
//! told at once. Between socket and disk there is then at most twice the budget.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::budget::{Budget, Share};
use super::refusal::Refusal;
use super::stats::{Held, Stats};

/// How long a request waits for room, all its waits together.
const PATIENCE: Duration = Duration::from_secs(2);

/// Within which a client gets an answer, not counting the time that it takes to send. The usual deadline of collectors
/// is 5 s, and an answer that comes later makes duplicates.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// How far a share may be ahead of the bytes that have come, while half of the budget is free. Most requests are smaller, and
/// so ask once. When less is free a share is what has come: slow clients, however many, could else hold all of it.
const SLAB: usize = 256 << 10;

/// What a request holds beside its headers and its body: its task and its stream.
const OVERHEAD: usize = 2 << 10;

/// Bytes of a request that may lie unread while it waits.
pub(super) const UNREAD: usize = 1 << 20;

/// The budgets of both doors.
#[derive(Debug)]
pub(super) struct Admission {
    all: Budget,
    waiting: Budget,
}

impl Admission {
    /// A budget of so many bytes.
    pub(super) fn new(bytes: usize) -> Admission {
        Admission { all: Budget::new(bytes), waiting: Budget::new(bytes) }
    }

    /// Another budget from now on; a smaller one is reached as requests end.
    pub(super) fn resize(&self, bytes: usize) {
        self.all.resize(bytes);
        self.waiting.resize(bytes);
    }

    /// What the requests of a new connection may hold together.
    pub(super) fn connection(&self) -> Budget {
        Budget::new(self.all.capacity() / 2)
    }

    /// A request of `connection` that holds nothing yet, with so many bytes of headers. `deadline` is the client's own, if it
    /// named one.
    pub(super) fn room<'a>(
        &'a self,
        connection: &'a Budget,
        stats: &'a Stats,
        deadline: Option<Duration>,
        headers: usize,
    ) -> Room<'a> {
        Room {
            admission: self,
            stats,
            of_connection: connection.share(),
            of_all: self.all.share(),
            gauge: stats.hold(0),
            head: OVERHEAD + headers,
            size: 0,
            // At most half of the client's time, so that the other half is there to hear that it should come back.
            patience: deadline.map_or(PATIENCE, |deadline| PATIENCE.min(deadline / 2)),
            waited: Duration::ZERO,
        }
    }
}

/// What one request holds of the budgets; it goes back when this is dropped.
#[derive(Debug)]
pub(super) struct Room<'a> {
    admission: &'a Admission,
    stats: &'a Stats,
    of_connection: Share<'a>,
    of_all: Share<'a>,
    gauge: Held<'a>,
    head: usize,
    /// Bytes that may be held: the share, but for what exceeds the whole budget.
    size: usize,
    patience: Duration,
    waited: Duration,
}

impl Room<'_> {
    /// Makes sure that the request may hold `arrived` bytes of body; `expected` is its length as announced, if it was.
    ///
    /// A request larger than the whole budget gets all of it, and is alone then.
    ///
    /// # Errors
    /// [`Refusal::Overloaded`] when there was no room in time, or none to wait in.
    pub(super) async fn fit(&mut self, arrived: usize, expected: Option<usize>) -> Result<(), Refusal> {
        let needed = self.head + arrived;
        if needed <= self.size {
            return Ok(());
        }
        let plenty = self.admission.all.free() >= self.admission.all.capacity() / 2;
        let ahead = (2 * self.size).max(if plenty { SLAB } else { 0 });
        let wanted = needed.max(expected.map_or(ahead, |expected| ahead.min(self.head + expected)));
        if self.try_grow(wanted) || self.try_grow(needed) {
            return Ok(());
        }
        // What is not needed is not waited for.
        let unread = expected.unwrap_or(UNREAD).saturating_sub(self.size.saturating_sub(self.head)).min(UNREAD);
        self.wait(needed, unread).await
    }

    /// How long the request may still wait for its turn anywhere.
    pub(super) fn patience(&self) -> Duration {
        self.patience.saturating_sub(self.waited)
    }

    /// By when the client gets an answer, its last byte having come now.
    pub(super) fn answer_by(&self) -> Instant {
        Instant::now() + ANSWER_WITHIN.saturating_sub(self.waited)
    }

    fn try_grow(&mut self, size: usize) -> bool {
        if self.of_connection.try_grow(size).is_err() {
            return false;
        }
        let taken = self.of_all.try_grow(size);
        taken.map(|taken| self.grown(size, taken)).is_ok()
    }

    async fn wait(&mut self, size: usize, unread: usize) -> Result<(), Refusal> {
        let mut place = self.admission.waiting.share();
        place.try_grow(unread).map_err(|_| Refusal::Overloaded)?;
        let (since, patience) = (Instant::now(), self.patience());
        let taken = timeout(patience, async {
            self.of_connection.grow(size).await?;
            self.of_all.grow(size).await
        });
        let taken = taken.await;
        self.waited += since.elapsed();
        let taken = taken.ok().and_then(Result::ok).ok_or(Refusal::Overloaded)?;
        self.grown(size, taken);
        Ok(())
    }

    fn grown(&mut self, size: usize, taken: usize) {
        self.gauge.merge(self.stats.hold(taken));
        self.size = size;
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.stats.waited(self.waited);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: usize = 16 * SLAB;

    /// A budget, and a connection each for as many as the test wants.
    fn doors() -> (Admission, Stats, [Budget; 4]) {
        let admission = Admission::new(BUDGET);
        let connections = std::array::from_fn(|_| Budget::new(BUDGET));
        (admission, Stats::new(), connections)
    }

    /// One request holds the whole budget, another wants a byte.
    /// Guarantees that the other waits two seconds and is refused, and that it gets its share at once when there is one.
    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_is_told_so_within_two_seconds() {
        let (admission, stats, connections) = doors();
        let room = |connection: usize, deadline| admission.room(&connections[connection], &stats, deadline, 0);
        let mut first = room(0, None);
        first.fit(BUDGET, Some(BUDGET)).await.unwrap();
        assert_eq!(stats.snapshot().inflight_bytes, BUDGET as u64);

        let mut second = room(1, None);
        let since = Instant::now();
        assert!(matches!(second.fit(1, Some(1)).await, Err(Refusal::Overloaded)));
        assert_eq!(since.elapsed().as_secs(), 2);
        assert_eq!(second.patience(), Duration::ZERO);
        assert!(second.answer_by() - since <= Duration::from_secs(4));

        let mut hurried = room(2, Some(Duration::from_secs(1)));
        let since = Instant::now();
        assert!(hurried.fit(1, Some(1)).await.is_err());
        assert_eq!(since.elapsed().as_millis(), 500, "half of its own deadline");

        drop(first);
        let mut third = room(3, None);
        third.fit(BUDGET, Some(BUDGET)).await.unwrap();
        drop(third);
        assert_eq!(stats.snapshot().inflight_bytes, 0);
    }

    /// A request larger than the budget, announced and not.
    /// Guarantees that it gets the whole budget rather than waiting for ever, though its connection has half.
    #[tokio::test(start_paused = true)]
    async fn a_request_larger_than_the_budget_gets_all_of_it() {
        let (admission, stats, _) = doors();
        let connection = admission.connection();
        for expected in [Some(3 * BUDGET), None] {
            let mut room = admission.room(&connection, &stats, None, 0);
            for arrived in (0..=3 * BUDGET).step_by(16 << 10) {
                room.fit(arrived, expected).await.unwrap();
            }
            assert_eq!(stats.snapshot().inflight_bytes, BUDGET as u64);
        }
        assert_eq!(stats.snapshot().inflight_bytes, 0);
    }

    /// Clients that announce the whole budget each and send one byte.
    /// Guarantees that all of them together hold little more than half, whatever their number, and that another is served.
    #[tokio::test(start_paused = true)]
    async fn who_announces_much_and_sends_little_holds_little() {
        let (admission, stats, connections) = doors();
        let mut rooms = Vec::new();
        for _ in 0..500 {
            let mut room = admission.room(&connections[0], &stats, None, 100);
            room.fit(1, Some(BUDGET)).await.unwrap();
            rooms.push(room);
        }
        let most = BUDGET / 2 + SLAB + 500 * (OVERHEAD + 101);
        assert!(stats.snapshot().inflight_bytes <= most as u64, "{}", stats.snapshot().inflight_bytes);
        let mut honest = admission.room(&connections[1], &stats, None, 100);
        honest.fit(SLAB, Some(SLAB)).await.unwrap();
    }

    /// A connection whose requests hold half of the budget.
    /// Guarantees that it gets no more of it, while another connection does.
    #[tokio::test(start_paused = true)]
    async fn a_connection_gets_half_of_the_budget() {
        let (admission, stats, _) = doors();
        let (greedy, other) = (admission.connection(), admission.connection());
        let mut first = admission.room(&greedy, &stats, None, 0);
        first.fit(BUDGET / 2 - OVERHEAD, None).await.unwrap();
        assert!(admission.room(&greedy, &stats, None, 0).fit(1, Some(1)).await.is_err());
        admission.room(&other, &stats, None, 0).fit(1, Some(1)).await.unwrap();
    }

    /// More requests wait than may lie unread meanwhile.
    /// Guarantees that the one too many is told at once, and that a small one still finds a place.
    #[tokio::test(start_paused = true)]
    async fn waiting_is_limited_in_bytes() {
        let (admission, stats, connections) = doors();
        let mut first = admission.room(&connections[0], &stats, None, 0);
        first.fit(BUDGET, None).await.unwrap();
        let ask = async |expected: usize| {
            let since = Instant::now();
            let refused = admission.room(&connections[1], &stats, None, 0).fit(1, Some(expected)).await.is_err();
            assert!(refused);
            since.elapsed().as_secs()
        };
        let fill = BUDGET / UNREAD;
        let waited = tokio::join!(
            futures_util::future::join_all((0..fill - 1).map(|_| ask(BUDGET))),
            ask(UNREAD - 1),
            ask(2),
            ask(1),
        );
        assert_eq!(waited, (vec![2; fill - 1], 2, 0, 2));
    }
}
