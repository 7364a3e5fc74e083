//! Dead letters that the store has lost.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::support::*;
use crate::batch::{Key, Signal};
use crate::queue::clock::testing::Hands;
use crate::queue::ledger::DeadReason;
use crate::queue::{Lane, Settlement};

const DAY: u64 = 86_400_000;

/// Flips a bit of each of these texts, wherever they lie in the blob files of a store that is closed; how many that were.
fn flip(directory: &Path, texts: &[&str]) -> usize {
    let mut flipped = 0;
    for entry in fs::read_dir(directory.join("store")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "blob") {
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        for text in texts {
            if let Some(at) = bytes.windows(text.len()).position(|window| window == text.as_bytes()) {
                bytes[at] ^= 1;
                flipped += 1;
            }
        }
        fs::write(&path, bytes).unwrap();
    }
    flipped
}

/// Scenario: dead letters of two signals, some of them damaged on disk, the first and the last among them, grow older than they may.
/// Guarantee: all that can be read go, the others are counted, listed and purged by hand; then nothing is held any more.
#[tokio::test]
async fn one_that_cannot_be_read_is_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.dead_letters.max_age = Duration::from_millis(DAY);
    let hands = Hands::at(1_800_000_000_000);
    let queue = timed(&config, &hands);
    for number in 0..20 {
        let signal = if number < 10 { Signal::Metrics } else { Signal::Logs };
        queue.append(named(signal, &format!("letter {number:02}"))).await.unwrap();
        let (lease, _) = next(&queue, signal, Lane::Fresh).await.unwrap();
        queue.settle(lease, Settlement::Dead(verdict(DeadReason::Refused)));
    }
    settled(&queue).await;
    queue.close().await;
    timed(&config, &hands).close().await; // which moves what the log holds into blob files
    let lost = ["letter 00", "letter 05", "letter 06", "letter 19"];
    assert_eq!(flip(directory.path(), &lost), lost.len());

    let queue = timed(&config, &hands);
    let listed = queue.letters(Signal::Metrics, Key::new(0)).await.unwrap().found;
    let unread: Vec<_> = listed.iter().filter(|letter| letter.batch.is_err()).map(|letter| letter.key.seq).collect();
    assert_eq!((listed.len(), unread), (10, vec![1, 6, 7]));
    hands.pass(DAY + 1);
    until("all that can be read go", || {
        queue.shared.pulse.hurry();
        let snapshot = queue.snapshot();
        (snapshot.dead_letters.0, snapshot.dead_letters_unread) == (4, 4)
    })
    .await;
    let left = [(Signal::Metrics, 1), (Signal::Metrics, 6), (Signal::Metrics, 7), (Signal::Logs, 10)];
    let left = left.map(|(signal, seq)| (signal, Key::new(seq))).to_vec();
    assert_eq!(queue.purge_dead(left).await.unwrap().batches, 4);
    assert_eq!(queue.snapshot().dead_letters, (0, 0));
    assert_books(&queue).await;
    queue.close().await;
}
