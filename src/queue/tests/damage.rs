//! Real logs of a real store, read and damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::support::*;
use crate::batch::{Key, Signal};
use crate::queue::codec::{record, twin::Twin};
use crate::queue::directory::Directory;
use crate::queue::ledger::DeadReason;
use crate::queue::memory::Budget;
use crate::queue::salvage::changes::Change;
use crate::queue::salvage::wal;
use crate::queue::snapshot::StoreState;
use crate::queue::store::rocks::Rocks;
use crate::queue::store::{Changes, Engine, Family, keys};
use crate::queue::{Lane, Queue, Settlement, Taker};

/// A copy of a directory, as a kill would leave it.
fn copy(from: &Path) -> tempfile::TempDir {
    fn files(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.as_ref().unwrap().file_name()));
            match from.is_dir() {
                true => files(&from, &to),
                false => assert!(fs::copy(&from, &to).is_ok()),
            }
        }
    }
    let to = tempfile::tempdir().unwrap();
    files(from, to.path());
    to
}

fn log(directory: &Path) -> PathBuf {
    wal::logs(&directory.join("store")).unwrap().pop().unwrap()
}

/// Scenario: appends, settles, owed batches and dead letters, all still in the log. Guarantee: the log parses to the same
/// records, and has neither bad bytes nor holes.
#[tokio::test]
async fn what_rocksdb_wrote_parses_to_the_same_changes() {
    let (queue, directory) = queue();
    let mut put = Vec::new();
    for number in 0..40 {
        let batch = named(Signal::ALL[number % 3], &"x".repeat(number * 997));
        put.push((queue.append(batch.clone()).await.unwrap(), batch));
    }
    let mut taken = Vec::new();
    for number in 0..6 {
        let (lease, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
        taken.push(lease.id.key);
        queue.settle(lease, if number == 5 { Settlement::Owed } else { delivered() });
    }
    taken.pop();
    settled(&queue).await;
    let store = directory.path().join("store");
    let scan = wal::scan(&store).unwrap();
    assert_eq!((scan.bad_bytes, scan.holes, scan.foreign), (0, 0, false));
    let (mut found, mut removed, mut twins, mut owed) = (Vec::new(), Vec::new(), 0, 0);
    wal::replay(&store, |changes| {
        for change in changes {
            match change {
                Change::Put(Family::Records(_), key, value) => {
                    found.push((Key::decode(key).unwrap(), record::decode(value.to_vec()).unwrap().0));
                }
                Change::Put(Family::Index, _, value) => twins += u64::from(Twin::decode(value).is_ok()),
                Change::Put(Family::Owed, ..) => owed += 1,
                Change::Remove(Family::Index, key) => removed.push(keys::parse(key).unwrap().1),
                _ => {}
            }
        }
        Ok(())
    })
    .unwrap();
    assert!(found == put, "the records differ");
    assert_eq!((removed, twins, owed), (taken, 40, 1));
    assert_eq!(wal::gaps(&store, [None; 3]).unwrap(), []);
}

/// Scenario: a bit is flipped in the log, in a batch of which others lie behind it, after a kill. Guarantee: that batch is
/// counted as dropped, all others are there, the log as it was is kept, and a second open finds nothing to do.
#[tokio::test]
async fn a_flipped_bit_in_the_log_costs_one_batch() {
    let (queue, live) = queue();
    for number in 0..50 {
        queue.append(named(Signal::Logs, &format!("batch {number:03} {}", "x".repeat(3000)))).await.unwrap();
    }
    let directory = copy(live.path());
    let mut bytes = fs::read(log(directory.path())).unwrap();
    let at = bytes.windows(9).position(|window| window == b"batch 020").unwrap();
    bytes[at + 100] ^= 1;
    fs::write(log(directory.path()), bytes).unwrap();

    let queue = Queue::open(&config(directory.path())).unwrap();
    assert_books(&queue).await;
    let books = queue.snapshot().signals[Signal::Logs.index()].books;
    assert_eq!((books.accepted, books.queued, books.dropped_total()), (50, 49, 1));
    let mut names = Vec::new();
    while let Some((lease, name)) = next(&queue, Signal::Logs, Lane::Backlog).await {
        names.push(name[6..9].parse::<u32>().unwrap());
        queue.settle(lease, delivered());
    }
    assert_eq!(names, (0..50).filter(|number| *number != 20).collect::<Vec<_>>());
    assert!(directory.path().join("damaged-1").is_dir());
    queue.close().await;
    let queue = Queue::open(&config(directory.path())).unwrap();
    let books = queue.snapshot().signals[Signal::Logs.index()].books;
    assert_eq!((books.accepted, books.delivered, books.dropped_total()), (50, 49, 1));
}

/// Scenario: the change that is gone is a settle, and the log goes on. Guarantee: its batch is live again and is taken out
/// of what was delivered; nothing is counted as lost.
#[tokio::test]
async fn a_lost_settle_brings_its_batch_back() {
    let (queue, live) = queue();
    for number in 0..10 {
        queue.append(named(Signal::Logs, &format!("{number}"))).await.unwrap();
    }
    let before = fs::metadata(log(live.path())).unwrap().len() as usize;
    let (lease, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    queue.settle(lease, delivered());
    settled(&queue).await;
    let after = fs::metadata(log(live.path())).unwrap().len() as usize;
    queue.append(named(Signal::Logs, "last")).await.unwrap();
    let directory = copy(live.path());
    let mut bytes = fs::read(log(directory.path())).unwrap();
    bytes[usize::midpoint(before, after)] ^= 1;
    fs::write(log(directory.path()), bytes).unwrap();

    let queue = Queue::open(&config(directory.path())).unwrap();
    assert_books(&queue).await;
    let books = queue.snapshot().signals[Signal::Logs.index()].books;
    assert_eq!((books.accepted, books.queued, books.delivered, books.dropped_total()), (11, 11, 0, 0));
    let (_, first) = next(&queue, Signal::Logs, Lane::Backlog).await.unwrap();
    assert_eq!(first, "0");
}

/// Changes a store that is closed.
fn meddle(directory: &Path, change: impl FnOnce(&mut dyn Changes)) {
    let directory = Directory::take(directory).unwrap();
    let rocks = Rocks::open(directory.store(), &Budget::of(&config(directory.store()))).unwrap();
    let mut changes = rocks.begin(64);
    change(changes.as_mut());
    changes.commit(true).unwrap();
}

/// A closed queue of thirty batches of logs: the first six owed, the seventh parked.
async fn of_thirty() -> tempfile::TempDir {
    let (queue, directory) = queue();
    for number in 0..30 {
        queue.append(named(Signal::Logs, &format!("{number:02}"))).await.unwrap();
    }
    for number in 0..7 {
        let (lease, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
        queue.settle(lease, if number < 6 { Settlement::Owed } else { Settlement::Park(verdict(DeadReason::Suspect)) });
    }
    settled(&queue).await;
    queue.close().await;
    directory
}

/// Everything in a queue of logs, delivered; damage that is met on the way is waited out.
async fn drained(queue: &Queue) -> Vec<String> {
    let mut names = Vec::new();
    until("everything is delivered", || queue.snapshot().state == StoreState::Open).await;
    let books = || queue.snapshot().signals[Signal::Logs.index()].books;
    while books().queued > 0 {
        let lease = match queue.lease(Signal::Logs, Lane::Backlog, Taker::Primary).await {
            None => queue.lease_parked(Signal::Logs, Taker::Primary).await,
            lease => lease,
        };
        let Some(lease) = lease else {
            tokio::task::yield_now().await;
            continue;
        };
        names.push(name(&lease));
        queue.settle(lease, delivered());
        settled(queue).await;
    }
    names.sort();
    names
}

/// Scenario: one small value of a closed store means nothing, though all its checksums hold: of the index, of what is
/// parked or owed, of the head. Guarantee: the queue opens, nothing stalls, all batches are delivered, the books balance, and the
/// next open finds nothing to do.
#[tokio::test]
async fn a_value_that_means_nothing_costs_no_batch() {
    let garbled: [(&str, Family, Vec<u8>); 7] = [
        ("index entry", Family::Index, keys::of(Signal::Logs, Key::new(20)).as_ref().to_vec()),
        ("index entry of an owed one", Family::Index, keys::of(Signal::Logs, Key::new(3)).as_ref().to_vec()),
        ("index entry of a parked one", Family::Index, keys::parked(Signal::Logs, Key::new(7)).as_ref().to_vec()),
        ("owed interval", Family::Owed, keys::of(Signal::Logs, Key::new(1)).as_ref().to_vec()),
        ("ledger", Family::Meta, keys::books(Signal::Logs).to_vec()),
        ("run marker", Family::Meta, keys::RUN.to_vec()),
        ("epoch", Family::Meta, keys::EPOCH.to_vec()),
    ];
    let whole = of_thirty().await;
    for (what, family, key) in garbled {
        let directory = copy(whole.path());
        meddle(directory.path(), |changes| changes.set(family, &key, b"?"));
        let queue = Queue::open(&config(directory.path())).unwrap();
        let names = tokio::time::timeout(Duration::from_secs(20), drained(&queue)).await.expect(what);
        let every: Vec<String> = (0..30).map(|number| format!("{number:02}")).collect();
        assert_eq!(names, every, "{what}");
        assert_books(&queue).await;
        let books = queue.snapshot().signals[Signal::Logs.index()].books;
        assert_eq!((books.accepted, books.delivered, books.queued), (30, 30, 0), "{what}: {books:?}");
        assert!(directory.path().join("damaged-1").is_dir(), "{what}");
        queue.close().await;
        let queue = Queue::open(&config(directory.path())).unwrap();
        assert_eq!(
            (queue.snapshot().signals[Signal::Logs.index()].books, drained(&queue).await.len()),
            (books, 0),
            "{what}"
        );
        queue.close().await;
        assert!(!directory.path().join("damaged-2").exists(), "{what}: salvaged once more");
    }
}
