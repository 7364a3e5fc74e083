//! Scenario: power is lost while the log is written: what was not synced is there up to some sector or page, and what lies in
//! the last of them is anything. Guarantee: the queue opens; what was acknowledged before is there, what came after it is there
//! as it was or not at all; the books balance, and nobody is told of damage.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use spillway::batch::{Batch, Encoding, Signal};
use spillway::config::QueueConfig;
use spillway::queue::ledger::DropReason;
use spillway::queue::{Lane, Queue, Settlement, Taker};

use crate::count;
use crate::damage_at_rest::copy;

fn config(directory: &Path) -> QueueConfig {
    QueueConfig { directory: directory.to_owned(), reserve: Some(1 << 20), ..QueueConfig::default() }
}

fn log(directory: &Path) -> PathBuf {
    let inside = fs::read_dir(directory.join("store")).unwrap().map(|entry| entry.unwrap().path());
    inside.filter(|path| path.extension().is_some_and(|ending| ending == "log")).max().unwrap()
}

async fn append(queue: &Queue, count: usize, random: &mut StdRng) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    for _ in 0..count {
        let len = random.random_range(10..9000);
        let body: Vec<u8> = (0..len).map(|_| random.random()).collect();
        let batch = Batch {
            signal: Signal::Logs,
            encoding: Encoding::Identity,
            items: 2,
            inflated_len: len,
            received_at_ms: 1,
            headers: [].into(),
            body: body.clone().into(),
        };
        queue.append(batch).await.unwrap();
        bodies.push(body);
    }
    bodies
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_log_is_cut_off_at_the_last_whole_group() {
    let mut random = StdRng::seed_from_u64(4);
    let live = tempfile::tempdir().unwrap();
    let queue = Queue::open(&config(live.path())).unwrap();
    let before = append(&queue, 30, &mut random).await;
    let image = tempfile::tempdir().unwrap();
    copy(live.path(), image.path());
    let synced = fs::metadata(log(image.path())).unwrap().len();
    let after = append(&queue, 10, &mut random).await;
    let whole = fs::read(log(live.path())).unwrap();
    queue.close().await;

    for trial in 0..count(20, 5000) {
        let directory = tempfile::tempdir().unwrap();
        copy(image.path(), directory.path());
        let unit = if trial % 2 == 0 { 512 } else { 4096 };
        let cut = random.random_range(synced..=whole.len() as u64) / unit * unit;
        let cut = usize::try_from(cut.max(synced)).unwrap();
        let mut torn = whole[..cut].to_vec();
        let last = cut.saturating_sub(random.random_range(0..unit as usize)).max(synced as usize);
        match trial % 3 {
            0 => {}
            1 => torn[last..].fill(0),
            _ => torn[last..].iter_mut().for_each(|byte| *byte = random.random()),
        }
        fs::write(log(directory.path()), torn).unwrap();

        let queue = Queue::open(&config(directory.path())).unwrap();
        for count in queue.recount().await.unwrap() {
            assert_eq!(
                (count.imbalance(), count.batches),
                (0, count.books.queued_batches),
                "trial {trial}, cut at {cut}"
            );
        }
        let mut found = HashSet::new();
        while let Some(lease) = queue.lease(Signal::Logs, Lane::Backlog, Taker::Primary).await {
            found.insert(lease.batch.body.to_vec());
            queue.settle(lease, Settlement::Delivered { rejected: 0 });
        }
        let books = queue.snapshot().signals[Signal::Logs.index()].books;
        assert!(before.iter().all(|body| found.contains(body)), "trial {trial}, cut at {cut}: {books:?}");
        let there: Vec<bool> = after.iter().map(|body| found.remove(body)).collect();
        assert!(there.is_sorted_by(|one, next| one >= next), "trial {trial}: {there:?} is no beginning");
        assert_eq!(found.len(), before.len(), "trial {trial}: something that nobody sent");
        assert_eq!(books.dropped[DropReason::StoreDamage as usize], 0, "trial {trial}, cut at {cut}: {books:?}");
        queue.close().await;
    }
}
