//! Several connections to one target, used in turn and renewed: with age, on trouble, when names or certificates change.
//!
//! Connections are made at first use and only by a send, so a target that nobody uses costs nothing.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Age at which a connection is renewed, so that replicas added behind a name get their part of the load.
const MAX_AGE: Duration = Duration::from_secs(300);

/// Jitter of that age: the connections of many gateways must not be renewed together.
const AGE_JITTER: f64 = 0.2;

/// Connections of kind `C`, which is a cheap handle; dropping the last handle closes it once its requests ended.
pub(super) struct Pool<C> {
    slots: Box<[Mutex<Option<Made<C>>>]>,
    next: AtomicUsize,
    /// Rises when every connection has to be renewed.
    epoch: AtomicU64,
    made: AtomicU64,
}

struct Made<C> {
    handle: C,
    serial: u64,
    /// The pool's epoch and the caller's generation at the time.
    era: (u64, u64),
    until: Instant,
}

/// A connection in use, and where it came from.
pub(super) struct Picked<C> {
    /// The connection.
    pub(super) handle: C,
    slot: usize,
    serial: u64,
}

impl<C: Clone> Pool<C> {
    /// A pool of `size` connections, at least one; none is made yet.
    pub(super) fn new(size: usize) -> Pool<C> {
        let slots = (0..size.max(1)).map(|_| Mutex::new(None)).collect();
        Pool { slots, next: AtomicUsize::new(0), epoch: AtomicU64::new(0), made: AtomicU64::new(0) }
    }

    /// The next connection in turn, made by `make` if it is missing, too old or given up. In place of `given_up`, which is given up with
    /// that, a new one or the one that somebody made in its place.
    /// `generation` tells what connections are made from (certificates): another number, another connection.
    pub(super) fn pick<E>(
        &self,
        given_up: Option<&Picked<C>>,
        generation: u64,
        make: impl FnOnce() -> Result<C, E>,
    ) -> Result<Picked<C>, E> {
        let index = match given_up {
            None => self.next.fetch_add(1, Relaxed) % self.slots.len(),
            Some(picked) => {
                self.renew(picked);
                picked.slot
            }
        };
        let mut slot = self.slots[index].lock().unwrap_or_else(PoisonError::into_inner);
        let (now, era) = (Instant::now(), (self.epoch.load(Relaxed), generation));
        if let Some(made) = slot.as_ref().filter(|made| made.era == era && now < made.until) {
            return Ok(Picked { handle: made.handle.clone(), slot: index, serial: made.serial });
        }
        let handle = make()?;
        let serial = self.made.fetch_add(1, Relaxed);
        let age = MAX_AGE.mul_f64(rand::random_range(1.0 - AGE_JITTER..=1.0 + AGE_JITTER));
        *slot = Some(Made { handle: handle.clone(), serial, era, until: now + age });
        Ok(Picked { handle, slot: index, serial })
    }

    /// Gives up a connection that failed, unless somebody did already. Requests that are on it may still end.
    pub(super) fn renew(&self, picked: &Picked<C>) {
        let mut slot = self.slots[picked.slot].lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_some_and(|made| made.serial == picked.serial) {
            *slot = None;
        }
    }

    /// Gives up every connection.
    pub(super) fn renew_all(&self) {
        self.epoch.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(pool: &Pool<u32>, fresh: u32) -> Picked<u32> {
        pick_of(pool, 0, fresh)
    }

    fn pick_of(pool: &Pool<u32>, generation: u64, fresh: u32) -> Picked<u32> {
        pool.pick(None, generation, || Ok::<_, ()>(fresh)).unwrap()
    }

    /// Scenario: three sends over a pool of two, then one connection fails and is reported twice.
    /// Guarantee: connections take turns, and a failure renews only the one that failed, once.
    #[tokio::test(start_paused = true)]
    async fn connections_take_turns_and_a_failed_one_is_renewed_once() {
        let pool = Pool::new(2);
        assert_eq!([1, 2, 3, 4].map(|n| pick(&pool, n).handle), [1, 2, 1, 2]);
        let (failed, also_failed) = (pick(&pool, 5), pick(&pool, 6));
        assert_eq!((failed.handle, also_failed.handle), (1, 2));
        pool.renew(&failed);
        assert_eq!([7, 8].map(|n| pick(&pool, n).handle), [7, 2]);
        pool.renew(&failed);
        assert_eq!([9, 10].map(|n| pick(&pool, n).handle), [7, 2]);
    }

    /// Scenario: connections grow old; a name moves; certificates rotate.
    /// Guarantee: each renews every connection, age within its jitter.
    #[tokio::test(start_paused = true)]
    async fn age_and_moves_renew_every_connection() {
        let pool = Pool::new(2);
        assert_eq!([1, 2].map(|n| pick(&pool, n).handle), [1, 2]);
        tokio::time::advance(MAX_AGE.mul_f64(1.0 - AGE_JITTER) - Duration::from_secs(1)).await;
        assert_eq!([3, 4].map(|n| pick(&pool, n).handle), [1, 2]);
        tokio::time::advance(MAX_AGE.mul_f64(2.0 * AGE_JITTER) + Duration::from_secs(2)).await;
        assert_eq!([5, 6].map(|n| pick(&pool, n).handle), [5, 6]);
        pool.renew_all();
        assert_eq!([7, 8].map(|n| pick(&pool, n).handle), [7, 8]);
        assert_eq!([9, 10].map(|n| pick_of(&pool, 1, n).handle), [9, 10]);
        assert_eq!([11, 12].map(|n| pick_of(&pool, 1, n).handle), [9, 10]);
    }
}
