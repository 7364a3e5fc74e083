//! What a person asks of the queue: lists, copies, checks, dead letters and imports.

use std::time::Duration;

use super::support::*;
use crate::batch::{Batch, Key, Signal};
use crate::queue::ledger::{DeadReason, DropReason};
use crate::queue::tools::{Mark, Select, Standing};
use crate::queue::{AppendError, Lane, Queue, QueueError, Settlement, Taker, Verdict};

fn refused() -> Settlement {
    Settlement::Dead(Verdict {
        reason: DeadReason::Refused,
        target: "hub".to_owned(),
        status: "HTTP 400".to_owned(),
        message: "no".to_owned(),
        attempts: 1,
        first_ms: 1,
        last_ms: 2,
    })
}

/// Three batches of logs: one dead, one leased, one queued.
async fn three() -> (Queue, crate::queue::Lease, tempfile::TempDir) {
    let (queue, directory) = queue();
    for name in ["dead", "leased", "queued"] {
        queue.append(Batch { items: 5, ..named(Signal::Logs, name) }).await.unwrap();
    }
    let (dead, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    let (leased, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    queue.settle(dead, refused());
    settled(&queue).await;
    (queue, leased, directory)
}

/// Scenario: a queue with a dead, a leased and a queued batch is listed, copied and checked, by key and age.
/// Guarantee: each stands where it is, a filter takes what it says, and the check finds nothing wrong.
#[tokio::test]
async fn a_queue_can_be_looked_into() {
    let (queue, _leased, _directory) = three().await;
    let list = queue.list(Select::all(Signal::Logs), 10).await.unwrap();
    let seen: Vec<_> = list.found.iter().map(|entry| (entry.key.seq, entry.items, entry.state)).collect();
    assert_eq!(seen, [(2, 5, Standing::Leased), (3, 5, Standing::Queued)]);
    assert_eq!(list.next, None);
    let first = queue.list(Select::all(Signal::Logs), 1).await.unwrap();
    assert_eq!((first.found.len(), first.next), (1, Some(Key::new(3))));
    let copies = queue.copies(Select { from: Key::new(3), ..Select::all(Signal::Logs) }).await.unwrap();
    assert_eq!(copies.found[0].batch.as_ref().unwrap().body, "queued");
    for none in [
        Select { to: Key::new(1), ..Select::all(Signal::Logs) },
        Select { from: Key::new(9), ..Select::all(Signal::Logs) },
        Select { received_before_ms: 1_700_000_000_000, ..Select::all(Signal::Logs) },
        Select { received_from_ms: 1_700_000_000_001, ..Select::all(Signal::Logs) },
        Select::all(Signal::Traces),
    ] {
        assert_eq!(queue.copies(none).await.unwrap().found, [], "{none:?}");
    }
    let checked = queue.verify(Signal::Logs, false, Key::new(0)).await.unwrap();
    assert_eq!((checked.batches, checked.items, checked.damages, checked.next), (2, 10, vec![], None));
}

/// Scenario: a long queue is read in slices while all of it is settled. Guarantee: slices follow each other without a gap.
#[tokio::test]
async fn slices_follow_each_other() {
    let (queue, _directory) = queue();
    for _ in 0..300 {
        queue.append(batch(Signal::Logs, 20 << 10)).await.unwrap();
    }
    let (mut select, mut keys, mut slices) = (Select::all(Signal::Logs), Vec::new(), 0);
    loop {
        let page = queue.copies(select).await.unwrap();
        keys.extend(page.found.iter().map(|copied| copied.key.seq));
        slices += 1;
        let Some(next) = page.next else { break };
        select.from = next;
    }
    assert_eq!(keys, (1..=300).collect::<Vec<_>>());
    assert_eq!(slices, 5, "of at most 64 batches");
    let (mut from, mut batches) = (Key::new(0), 0);
    while let checked = queue.verify(Signal::Logs, false, from).await.unwrap()
        && let Some(next) = checked.next
    {
        assert_eq!(checked.damages, []);
        (from, batches) = (next, batches + checked.batches);
    }
    assert!(batches > 150, "the last slice apart: {batches}");
}

/// Scenario: a dead letter is sent again. Guarantee: it has a new sequence, is counted once, and the books balance at each
/// instant; a second try finds nothing.
#[tokio::test]
async fn a_dead_letter_is_sent_again_once() {
    let (queue, _leased, _directory) = three().await;
    let letters = queue.letters(Signal::Logs, Key::new(0)).await.unwrap().found;
    assert_eq!((letters.len(), letters[0].items, letters[0].verdict.status.as_str()), (1, 5, "HTTP 400"));
    let place = vec![(Signal::Logs, letters[0].key); 2];
    let moved = queue.replay_dead(place.clone()).await.unwrap();
    assert_eq!((moved.batches, moved.items, moved.left), (1, 5, vec![]));
    let books = queue.snapshot().signals[Signal::Logs.index()].books;
    assert_eq!((books.accepted, books.queued, books.dead_total()), (15, 15, 0));
    assert_eq!(queue.snapshot().dead_letters, (0, 0));
    assert_books(&queue).await;
    let again = queue.replay_dead(place).await.unwrap();
    assert_eq!((again.batches, again.left.len()), (0, 1));
    queue.copies(Select { from: Key::new(4), ..Select::all(Signal::Logs) }).await.unwrap();
    let (queued, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    let (revived, name) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    assert_eq!((name.as_str(), revived.id.key), ("dead", Key::new(4)));
    queue.settle(queued, delivered());
    queue.settle(revived, delivered());
    settled(&queue).await;
    assert_books(&queue).await;
}

/// Scenario: dead letters are removed, one of them damaged. Guarantee: nothing is held any more, they stay counted as dead.
#[tokio::test]
async fn removed_dead_letters_stay_counted() {
    let (queue, leased, _directory) = three().await;
    queue.settle(leased, refused());
    settled(&queue).await;
    let keys = [1, 2, 9].map(|seq| (Signal::Logs, Key::new(seq)));
    let moved = queue.purge_dead(keys.to_vec()).await.unwrap();
    assert_eq!((moved.batches, moved.items, moved.left.len()), (2, 10, 1));
    assert_eq!(queue.snapshot().dead_letters, (0, 0));
    assert_eq!(queue.snapshot().signals[Signal::Logs.index()].books.dead_total(), 10);
    assert_books(&queue).await;
}

/// Scenario: batches are brought in with a mark; the process is killed; then the last of them.
/// Guarantee: they are counted as imported, the mark says how far it came, and goes with the end.
#[tokio::test]
async fn an_import_knows_how_far_it_came() {
    let (queue, directory) = queue();
    let mark = |after, line, done| Some(Mark { token: 7, after, line, done });
    queue.import(vec![named(Signal::Traces, "a"), named(Signal::Logs, "b")], mark(None, 2, false)).await.unwrap();
    let again = queue.import(vec![named(Signal::Traces, "a")], mark(None, 1, false)).await;
    assert!(matches!(again, Err(QueueError::Overtaken)), "somebody else was there: {again:?}");
    assert_books(&queue).await;
    kill(queue).await;
    let queue = Queue::open(&config(directory.path())).unwrap();
    assert_eq!((queue.imported(7).await.unwrap(), queue.imported(8).await.unwrap()), (Some(2), None));
    queue.import(vec![named(Signal::Logs, "c")], mark(Some(2), 3, true)).await.unwrap();
    assert_eq!(queue.imported(7).await.unwrap(), None);
    let imported: u64 = queue.snapshot().signals.iter().map(|depth| depth.books.imported).sum();
    assert_eq!(imported, 3);
    assert_books(&queue).await;
}

/// Scenario: the intake is closed for a time and for good, and opened again. Guarantee: batches from the doors are refused
/// meanwhile; leases, imports and dead letters go on; a tool that is gone does not leave it closed.
#[tokio::test]
async fn a_closed_intake_opens_by_itself_or_when_told() {
    let (queue, _leased, _directory) = three().await;
    queue.close_intake(Some(Duration::from_millis(300)));
    assert_eq!(queue.append(named(Signal::Logs, "x")).await, Err(AppendError::Draining));
    assert!(queue.lease(Signal::Logs, Lane::Fresh, Taker::Primary).await.is_some());
    queue.import(vec![named(Signal::Logs, "y")], None).await.unwrap();
    until("it opens by itself", || queue.admits(Signal::Logs).is_ok()).await;
    queue.close_intake(None);
    assert_eq!(queue.admits(Signal::Logs), Err(AppendError::Draining));
    queue.open_intake();
    queue.append(named(Signal::Logs, "z")).await.unwrap();
    queue.sync().await.unwrap();
    assert_books(&queue).await;
}

/// Scenario: everything is asked of a queue that failed and of one that is closed. Guarantee: each question is answered.
#[tokio::test]
async fn a_queue_that_is_gone_says_so() {
    let (queue, _leased, _directory) = three().await;
    queue.shared.poison(&"killed by a test");
    assert!(matches!(queue.import(vec![named(Signal::Logs, "x")], None).await, Err(QueueError::Poisoned)));
    assert!(matches!(queue.sync().await, Err(QueueError::Poisoned)));
    queue.close().await;
    assert!(queue.list(Select::all(Signal::Logs), 1).await.is_err());
    assert!(queue.drop_below(Signal::Logs, Key::new(9), DropReason::Purged).await.is_err());
}
