//! Scenario: with `interval` and `os` power is lost: of the log a beginning is left, cut anywhere behind what was synced, or what an
//! ext4 volume had written by itself; the watermark beside the store was synced. Guarantee: what is there is delivered as it was;
//! what is missing is counted as `lost_unsynced`, to the item, once; no sequence number is given twice; the books balance.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use spillway::batch::{Batch, Encoding, Signal};
use spillway::config::{Durability, QueueConfig};
use spillway::queue::ledger::DropReason;
use spillway::queue::{Lane, Queue, Settlement, Taker};

use crate::damage_at_rest::copy;
use crate::support::wait::{seconds, until};
use crate::volume::Volume;
use crate::{count, skip};

const ITEMS: u32 = 3;

fn config(directory: &Path, durability: Durability) -> QueueConfig {
    QueueConfig {
        directory: directory.to_owned(),
        durability,
        sync_interval: Duration::from_secs(3600),
        reserve: Some(1 << 20),
        ..QueueConfig::default()
    }
}

async fn append(queue: &Queue, batches: u32, random: &mut StdRng) {
    for number in 0..batches {
        let body: Vec<u8> = (0..random.random_range(10..9000)).map(|_| random.random()).collect();
        let batch = Batch {
            signal: Signal::ALL[number as usize % 3],
            encoding: Encoding::Identity,
            items: ITEMS,
            inflated_len: body.len() as u32,
            received_at_ms: 1,
            headers: [].into(),
            body: body.into(),
        };
        queue.append(batch).await.unwrap();
    }
}

/// Delivers so many batches of a signal, or all there are.
async fn deliver(queue: &Queue, signal: Signal, most: u64) -> u64 {
    let mut delivered = 0;
    while delivered < most {
        let lease = match queue.lease(signal, Lane::Backlog, Taker::Primary).await {
            None => queue.lease(signal, Lane::Fresh, Taker::Primary).await,
            lease => lease,
        };
        let Some(lease) = lease else { break };
        queue.settle(lease, Settlement::Delivered { rejected: 0 });
        delivered += 1;
    }
    delivered
}

/// Sums over all signals: accepted, queued, delivered, lost.
fn books(queue: &Queue) -> [u64; 4] {
    let mut sums = [0; 4];
    for depth in queue.snapshot().signals {
        let (books, lost) = (depth.books, depth.books.dropped[DropReason::LostUnsynced as usize]);
        assert_eq!(books.dropped_total(), lost, "{books:?}");
        for (sum, items) in sums.iter_mut().zip([books.accepted, books.queued, books.delivered, lost]) {
            *sum += items;
        }
    }
    sums
}

/// Waits until the watermark tells of so many items: version (1), store (8), epoch (8), then of each signal a length (4) and a
/// ledger, in which they stand behind 19 bytes.
async fn marked(directory: &Path, items: u64) {
    let read = || {
        let bytes = fs::read(directory.join("spillway.watermark")).ok()?;
        let (mut rest, mut sum) = (bytes.get(17..)?, 0);
        for _ in Signal::ALL {
            let (len, ledger) = rest.split_first_chunk()?;
            sum += u64::from_le_bytes(*ledger.get(19..)?.first_chunk()?);
            rest = ledger.get(u32::from_le_bytes(*len) as usize..)?;
        }
        Some(sum)
    };
    until("the watermark follows", seconds(20), || read() == Some(items)).await;
}

/// Opens what a loss of power left of a queue that had taken so many items, none of which was delivered after what was synced;
/// the items that are lost.
async fn hold_to_it(config: &QueueConfig, taken: u64, next: &[u64; 3], what: &str) -> u64 {
    let mut first = None;
    for _ in 0..2 {
        let queue = Queue::open(config).unwrap();
        for count in queue.recount().await.unwrap() {
            assert_eq!((count.imbalance(), count.batches), (0, count.books.queued_batches), "{what}");
        }
        let seen = books(&queue);
        let [accepted, queued, delivered, lost] = seen;
        assert_eq!((accepted, queued + delivered + lost), (taken, taken), "{what}");
        assert_eq!(*first.get_or_insert(seen), seen, "{what}: the next start counts again");
        queue.close().await;
    }
    let queue = Queue::open(config).unwrap();
    let [_, queued, _, lost] = books(&queue);
    let mut delivered = 0;
    for signal in Signal::ALL {
        delivered += deliver(&queue, signal, u64::MAX).await;
        assert!(queue.snapshot().signals[signal.index()].books.next_seq >= next[signal.index()], "{what}");
    }
    assert_eq!(delivered * u64::from(ITEMS), queued, "{what}");
    queue.close().await;
    lost
}

fn next(queue: &Queue) -> [u64; 3] {
    queue.snapshot().signals.map(|depth| depth.books.next_seq)
}

fn log(directory: &Path) -> PathBuf {
    let inside = fs::read_dir(directory.join("store")).unwrap().map(|entry| entry.unwrap().path());
    inside.filter(|path| path.extension().is_some_and(|ending| ending == "log")).max().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cut_log_lacks_is_counted() {
    let mut random = StdRng::seed_from_u64(4);
    for durability in [Durability::Interval, Durability::Os] {
        let live = tempfile::tempdir().unwrap();
        let queue = Queue::open(&config(live.path(), durability)).unwrap();
        append(&queue, 30, &mut random).await;
        for signal in Signal::ALL {
            assert_eq!(deliver(&queue, signal, 2).await, 2);
        }
        until("that is written", seconds(20), || books(&queue)[2] == 6 * u64::from(ITEMS)).await;
        let image = tempfile::tempdir().unwrap();
        copy(live.path(), image.path());
        let synced = fs::metadata(log(image.path())).unwrap().len();
        append(&queue, 30, &mut random).await;
        let (taken, next) = (60 * u64::from(ITEMS), next(&queue));
        marked(live.path(), taken).await;
        let whole = fs::read(log(live.path())).unwrap();
        let watermark = fs::read(live.path().join("spillway.watermark")).unwrap();
        queue.close().await;

        let mut lost = Vec::new();
        for trial in 0..count(10, 1000) {
            let directory = tempfile::tempdir().unwrap();
            copy(image.path(), directory.path());
            let cut = match trial {
                0 => synced,
                1 => whole.len() as u64,
                _ => random.random_range(synced..=whole.len() as u64) / 512 * 512,
            };
            fs::write(log(directory.path()), &whole[..cut.max(synced) as usize]).unwrap();
            fs::write(directory.path().join("spillway.watermark"), &watermark).unwrap();
            let what = format!("{durability:?}, trial {trial}, cut at {cut} of {synced}..{}", whole.len());
            lost.push(hold_to_it(&config(directory.path(), durability), taken, &next, &what).await);
        }
        assert_eq!((lost[0], lost[1]), (30 * u64::from(ITEMS), 0));
        assert!(lost.iter().any(|lost| (1..90).contains(lost)), "{lost:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_volume_had_not_written_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let Some(volume) = Volume::mount(&folder.path().join("disk"), &folder.path().join("queue")) else {
        return skip::aloud("unsynced: no ext4 on a loop device can be mounted here");
    };
    let mut random = StdRng::seed_from_u64(5);
    let directory = volume.at().join("queue");
    let queue = Queue::open(&config(&directory, Durability::Os)).unwrap();
    append(&queue, 300, &mut random).await;
    let (taken, next) = (300 * u64::from(ITEMS), next(&queue));
    marked(&directory, taken).await;
    // What lies on the disk now is what a loss of power leaves.
    let power_lost = folder.path().join("power_lost");
    fs::create_dir(&power_lost).unwrap();
    let copied = Command::new("cp").arg("--sparse=always").args([volume.image(), power_lost.join("image")]).status();
    assert!(copied.unwrap().success());
    queue.close().await;
    drop(volume);
    let volume = Volume::at_rest(&power_lost, &folder.path().join("again")).unwrap();
    let lost = hold_to_it(&config(&volume.at().join("queue"), Durability::Os), taken, &next, "a volume").await;
    eprintln!("{lost} of {taken} items were not on the disk");
    assert!(lost > 0, "the volume had written everything");
}
