//! A number of bytes that is shared, and that may change while it is.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit, TryAcquireError};

/// Bytes that all requests may hold together, or those of one connection.
#[derive(Debug)]
pub(super) struct Budget {
    free: Semaphore,
    capacity: AtomicUsize,
    /// Bytes that are held beyond a budget that became smaller: they are gone when they come back.
    excess: AtomicUsize,
}

/// What one request holds of a budget; it goes back when this is dropped.
#[derive(Debug)]
pub(super) struct Share<'a> {
    of: &'a Budget,
    permit: Option<SemaphorePermit<'a>>,
    /// The whole budget when the request came.
    capacity: usize,
    size: usize,
}

impl Budget {
    /// So many bytes.
    pub(super) fn new(bytes: usize) -> Budget {
        let capacity = clamped(bytes);
        Budget { free: Semaphore::new(capacity), capacity: AtomicUsize::new(capacity), excess: AtomicUsize::new(0) }
    }

    /// Another number from now on. What is held keeps its share; a smaller budget is reached as shares come back.
    pub(super) fn resize(&self, bytes: usize) {
        let capacity = clamped(bytes);
        let before = self.capacity.swap(capacity, Relaxed);
        let less = before.saturating_sub(capacity);
        self.excess.fetch_add(less - self.free.forget_permits(less), Relaxed);
        let more = capacity.saturating_sub(before);
        self.free.add_permits(more - self.settle(more));
    }

    /// All of it, held or free.
    pub(super) fn capacity(&self) -> usize {
        self.capacity.load(Relaxed)
    }

    /// A share of nothing yet.
    pub(super) fn share(&self) -> Share<'_> {
        Share { of: self, permit: None, capacity: self.capacity(), size: 0 }
    }

    fn give_back(&self, mut permit: SemaphorePermit<'_>) {
        if let Some(gone) = permit.split(self.settle(permit.num_permits())) {
            gone.forget();
        }
    }

    /// Takes so many bytes off the excess, or as many as it has.
    fn settle(&self, bytes: usize) -> usize {
        let settled = |excess: usize| Some(excess.saturating_sub(bytes));
        let before = self.excess.fetch_update(Relaxed, Relaxed, settled).unwrap_or_default();
        before.min(bytes)
    }
}

impl<'a> Share<'a> {
    /// Makes it one of so many bytes, at once; how many it took of the budget for that. A share larger than the whole budget is
    /// all of it.
    pub(super) fn try_grow(&mut self, size: usize) -> Result<usize, TryAcquireError> {
        self.of.free.try_acquire_many(self.lacks(size)).map(|permit| self.take(size, permit))
    }

    /// The same, when there is room for it.
    pub(super) async fn grow(&mut self, size: usize) -> Result<usize, AcquireError> {
        self.of.free.acquire_many(self.lacks(size)).await.map(|permit| self.take(size, permit))
    }

    /// Makes it one of so many bytes, if it is larger; how many went back.
    pub(super) fn shrink(&mut self, size: usize) -> usize {
        let over = self.size.min(self.capacity).saturating_sub(size);
        let back = self.permit.as_mut().and_then(|permit| permit.split(over));
        self.size = self.size.min(size);
        back.map_or(0, |back| {
            self.of.give_back(back);
            over
        })
    }

    fn lacks(&self, size: usize) -> u32 {
        size.min(self.capacity).saturating_sub(self.size.min(self.capacity)) as u32
    }

    fn take(&mut self, size: usize, permit: SemaphorePermit<'a>) -> usize {
        let taken = permit.num_permits();
        self.size = self.size.max(size);
        match &mut self.permit {
            Some(have) => have.merge(permit),
            none => *none = Some(permit),
        }
        taken
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.of.give_back(permit);
        }
    }
}

/// A number of bytes that can be kept.
fn clamped(bytes: usize) -> usize {
    bytes.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The budget becomes smaller while all of it is held, larger again, and smaller.
    /// Guarantees that no more is given out than it is by then, and in the end all of it.
    #[test]
    fn a_budget_that_changes_is_kept() {
        let budget = Budget::new(400);
        let mut shares: Vec<_> = (0..4).map(|_| budget.share()).collect();
        for share in &mut shares {
            share.try_grow(100).unwrap();
        }
        budget.resize(100);
        shares.truncate(1);
        assert!(budget.share().try_grow(1).is_err(), "100 are held, and 100 there are");
        budget.resize(300);
        let mut two = budget.share();
        two.try_grow(200).unwrap();
        assert!(budget.share().try_grow(1).is_err());
        budget.resize(100);
        budget.resize(200);
        drop(two);
        drop(shares);
        assert_eq!(budget.free.available_permits(), 200);
    }

    /// A share that grows past the whole budget.
    /// Guarantees that it is all of it, and no more.
    #[test]
    fn a_share_is_at_most_all_there_is() {
        let budget = Budget::new(100);
        let mut share = budget.share();
        assert_eq!((share.try_grow(60), share.try_grow(150), share.try_grow(1000)), (Ok(60), Ok(40), Ok(0)));
        drop(share);
        assert_eq!(budget.free.available_permits(), 100);
    }
}
