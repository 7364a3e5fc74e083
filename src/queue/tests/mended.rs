//! Books that a reopen finds wrong.

use super::support::*;
use crate::batch::{Batch, Key, Signal};
use crate::queue::codec::books as codec;
use crate::queue::ledger::{DropReason, Ledger};
use crate::queue::simulation::Disk;
use crate::queue::snapshot::StoreState;
use crate::queue::store::{Changes, Engine, Family, keys};
use crate::queue::{Lane, Queue, Settlement};

const SIGNAL: Signal = Signal::Logs;

/// What is wrong with a store of five batches of three items, the first of them delivered, the last owed; and the items that are
/// queued, delivered and lost then.
struct Case {
    what: &'static str,
    meddle: fn(&mut dyn Changes, &Ledger),
    after: (u64, u64, u64),
}

const CASES: [Case; 4] = [
    Case {
        what: "a batch is gone",
        meddle: |changes, _| {
            changes.take(Family::Index, keys::of(SIGNAL, Key::new(2)).as_ref());
            changes.take(Family::Records(SIGNAL), Key::new(2).encode().as_ref());
        },
        after: (9, 3, 3),
    },
    Case {
        what: "a batch is there that the books call delivered",
        meddle: |changes, books| {
            let (queued, queued_batches) = (books.queued - 3, books.queued_batches - 1);
            set(changes, Ledger { queued, queued_batches, delivered: 6, ..*books });
        },
        after: (12, 3, 0),
    },
    Case {
        what: "the books do not add up",
        meddle: |changes, books| set(changes, Ledger { accepted: books.accepted + 7, ..*books }),
        after: (12, 3, 7),
    },
    Case {
        what: "the bytes are wrong",
        meddle: |changes, books| set(changes, Ledger { queued_bytes: 1, ..*books }),
        after: (12, 3, 0),
    },
];

fn set(changes: &mut dyn Changes, books: Ledger) {
    changes.set(Family::Meta, &keys::books(SIGNAL), &codec::encode(&books));
}

async fn fill(queue: &Queue) -> Ledger {
    for number in 1..=5 {
        queue.append(Batch { items: 3, ..named(SIGNAL, &format!("{number}")) }).await.unwrap();
    }
    let mut leases = Vec::new();
    while let Some((lease, _)) = next(queue, SIGNAL, Lane::Fresh).await {
        leases.push(lease);
    }
    queue.settle(leases.pop().unwrap(), Settlement::Owed);
    queue.settle(leases.swap_remove(0), delivered());
    drop(leases);
    settled(queue).await;
    queue.snapshot().signals[SIGNAL.index()].books
}

/// Has the store fail, and looks at what comes back.
async fn mended(queue: Queue, case: &Case) {
    queue.shared.poison(&"a test");
    until(case.what, || queue.snapshot().store_reopens == 1 && queue.snapshot().state == StoreState::Open).await;
    assert_books(&queue).await;
    let books = queue.snapshot().signals[SIGNAL.index()].books;
    let lost = books.dropped[DropReason::StoreDamage as usize];
    assert_eq!((books.queued, books.delivered, lost), case.after, "{}: {books:?}", case.what);
    assert_eq!((books.owed, books.imbalance()), (3, 0), "{}", case.what);
    let mut left = 0;
    while let Some((lease, _)) = next(&queue, SIGNAL, Lane::Backlog).await {
        queue.settle(lease, delivered());
        left += 3;
    }
    settled(&queue).await;
    assert_eq!(left, case.after.0, "{}", case.what);
    assert_books(&queue).await;
    queue.close().await;
}

/// Scenario: the store fails, and when it is opened anew its books are wrong, in each of several ways. Guarantee: what is there is
/// queued and delivered, what is missing is counted as lost to damage, and the books balance again; on RocksDB and in memory.
#[tokio::test]
async fn the_count_decides_after_a_reopen() {
    for case in &CASES {
        let directory = tempfile::tempdir().unwrap();
        let (queue, control) = watched(&config(directory.path()));
        let (books, meddle) = (fill(&queue).await, case.meddle);
        *control.meddled.lock().unwrap() = Some(Box::new(move |changes| meddle(changes, &books)));
        mended(queue, case).await;

        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new();
        let queue = Queue::open_in_memory(&config(directory.path()), &disk).unwrap();
        let books = fill(&queue).await;
        let engine = disk.engine();
        let mut changes = engine.begin(0);
        (case.meddle)(changes.as_mut(), &books);
        changes.commit(true).unwrap();
        mended(queue, case).await;
        assert_eq!(disk.violations(), Vec::<String>::new());
    }
}
