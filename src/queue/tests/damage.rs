//! Real logs of a real store, read and damaged.

use std::fs;
use std::path::{Path, PathBuf};

use super::support::*;
use crate::batch::{Key, Signal};
use crate::queue::codec::{record, twin::Twin};
use crate::queue::salvage::changes::Change;
use crate::queue::salvage::wal;
use crate::queue::store::{Family, keys};
use crate::queue::{Lane, Queue, Settlement};

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
