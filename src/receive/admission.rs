//! The byte budget of all clients together, and how long one waits for a share of it.
//!
//! A share is held from before a body is read until the body is on disk or refused, so that memory does not depend on
//! the number of clients. A usual request waits for room for all of it with empty hands: if each took what there is for what has
//! come, all would wait for one another, and none would end. But a client that announces much and sends little holds little: what is
//! ahead of the bytes that came is half of the budget at most, goes back when they come slowly, and is not waited for for long.
//! Who gets no share within [`PATIENCE`] is told to come back, well before its own deadline makes it send the same again.
//!
//! A connection has at most half of the budget, so that none can take it all. And what waits lies unread in the windows of
//! its connection, which no budget covers: so waiting has a budget of its own, of the same size, and who finds it used up is
//! told at once. Between socket and disk there is then at most twice the budget.

use std::time::Duration;

use tokio::sync::AcquireError;
use tokio::time::{Instant, timeout};

use super::budget::{Budget, Share};
use super::refusal::Refusal;
use super::stats::{Held, Stats};

/// How long a request waits for room, all its waits together.
const PATIENCE: Duration = Duration::from_secs(2);

/// Within which a client gets an answer, not counting the time that it takes to send. The usual deadline of collectors
/// is 5 s, and an answer that comes later makes duplicates.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// The first share of a request, if that is not shorter, or of unknown length. Most ask once.
const WHOLE: usize = 1 << 20;
const UNKNOWN: usize = 256 << 10;

/// What a request holds beside its headers and its body: its task and its stream.
const OVERHEAD: usize = 2 << 10;

/// How long a request waits for room for all of it, before it is read into the room for what came.
const AHEAD_PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of a request that may lie unread while it waits.
pub(super) const UNREAD: usize = 128 << 10;

/// The budgets of both doors.
#[derive(Debug)]
pub(super) struct Admission {
    all: Budget,
    /// What of it may be ahead of the bytes that have come.
    ahead: Budget,
    waiting: Budget,
}

impl Admission {
    /// A budget of so many bytes.
    pub(super) fn new(bytes: usize) -> Admission {
        Admission { all: Budget::new(bytes), ahead: Budget::new(bytes / 2), waiting: Budget::new(bytes) }
    }

    /// Another budget from now on; a smaller one is reached as requests end.
    pub(super) fn resize(&self, bytes: usize) {
        self.all.resize(bytes);
        self.ahead.resize(bytes / 2);
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
            of_ahead: self.ahead.share(),
            of_all: self.all.share(),
            gauge: stats.hold(0),
            head: OVERHEAD + headers,
            came: 0,
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
    of_ahead: Share<'a>,
    of_all: Share<'a>,
    gauge: Held<'a>,
    head: usize,
    /// Bytes that are there, with the head.
    came: usize,
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
        self.came = self.head + arrived;
        if self.came >= self.size {
            self.of_ahead.shrink(0);
        }
        if self.came <= self.size {
            return Ok(());
        }
        let most = if self.size > 0 { 2 * self.size } else { self.head + expected.map_or(UNKNOWN, |_| WHOLE) };
        let wanted = self.came.max(expected.map_or(most, |expected| most.min(self.head + expected)));
        if self.try_grow(wanted) || self.size > 0 && self.try_grow(self.came) {
            return Ok(());
        }
        let unread = expected
            .map_or(UNREAD, |expected| UNREAD.min(expected.saturating_sub(self.size.saturating_sub(self.head))));
        self.wait(wanted, unread).await
    }

    /// Whether the share is ahead of what has come.
    pub(super) fn is_ahead(&self) -> bool {
        self.came < self.size
    }

    /// The rest comes slowly: others may have the room for it meanwhile.
    pub(super) fn keep_what_came(&mut self) {
        self.of_connection.shrink(self.came);
        self.of_ahead.shrink(0);
        self.gauge.shrink(self.of_all.shrink(self.came));
        self.size = self.size.min(self.came);
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
        let ready = self.of_connection.try_grow(size).is_ok() && self.of_ahead.try_grow(size - self.came).is_ok();
        ready && self.of_all.try_grow(size).map(|taken| self.grown(size, taken)).is_ok()
    }

    /// Waits for room for all that is wanted; one that holds something already waits for what is needed alone.
    async fn wait(&mut self, wanted: usize, unread: usize) -> Result<(), Refusal> {
        let mut place = self.admission.waiting.share();
        if place.try_grow(unread).is_err() {
            return if self.try_grow(self.came) { Ok(()) } else { Err(Refusal::Overloaded) };
        }
        let (since, patience) = (Instant::now(), self.patience());
        let taken = timeout(patience, async {
            let mut size = self.came;
            if self.size == 0 && timeout(AHEAD_PATIENCE, self.get_ahead(wanted)).await.is_ok() {
                size = wanted;
            }
            self.of_connection.shrink(size);
            self.of_connection.grow(size).await?;
            let taken = self.of_all.grow(size).await?;
            Ok::<_, AcquireError>((size, taken))
        });
        let taken = taken.await;
        self.waited += since.elapsed();
        let (size, taken) = taken.ok().and_then(Result::ok).ok_or(Refusal::Overloaded)?;
        self.grown(size, taken);
        Ok(())
    }

    async fn get_ahead(&mut self, wanted: usize) -> Result<(), AcquireError> {
        self.of_connection.grow(wanted).await?;
        self.of_ahead.grow(wanted - self.came).await?;
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

    const BUDGET: usize = 4 * WHOLE;

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
    /// Guarantees that a moment later all of them together hold next to nothing, whatever their number, and that another is served.
    #[tokio::test(start_paused = true)]
    async fn who_announces_much_and_sends_little_holds_little() {
        let (admission, stats, connections) = doors();
        let mut rooms = Vec::new();
        for _ in 0..500 {
            let mut room = admission.room(&connections[0], &stats, None, 100);
            room.fit(1, Some(BUDGET)).await.unwrap();
            assert!(room.is_ahead());
            room.keep_what_came();
            assert!(!room.is_ahead());
            rooms.push(room);
        }
        assert_eq!(stats.snapshot().inflight_bytes, 500 * (OVERHEAD + 101) as u64);
        let mut honest = admission.room(&connections[1], &stats, None, 100);
        honest.fit(WHOLE, Some(WHOLE)).await.unwrap();
    }

    /// Many requests at once, of more than twice the budget together, which come side by side, each some bytes at a time.
    /// Guarantees that all of them end, one after the other: none waits for what others hold that wait as well.
    #[tokio::test(start_paused = true)]
    async fn requests_side_by_side_do_not_wait_for_one_another() {
        let (admission, stats, connections) = doors();
        let (size, since) = (WHOLE / 4, Instant::now());
        let request = async |_| {
            let mut room = admission.room(&connections[0], &stats, None, 0);
            for arrived in (size / 8..=size).step_by(size / 8) {
                room.fit(arrived, Some(size)).await.map_err(drop)?;
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await; // until it is on disk
            Ok::<(), ()>(())
        };
        let ended = futures_util::future::join_all((0..40).map(request)).await;
        assert_eq!(ended.iter().filter(|ended| ended.is_err()).count(), 0);
        assert!(since.elapsed() < Duration::from_millis(100), "{:?}", since.elapsed());
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
