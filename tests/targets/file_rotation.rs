//! Scenario: a file target writes more than one file may hold, for longer than one may last, and more than all may hold.
//! Guarantee: files are put aside whole, under names that sort by time, and the oldest make room; bounds are never passed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;

use crate::setup::{file, file_target, shipment};

/// The file and its rotated ones, the oldest first and the current one last.
fn files(path: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|p| p != path)
        .collect();
    files.sort();
    files.push(path.to_owned());
    files
}

/// The numbers in the lines of all files, in order.
fn numbers(files: &[PathBuf]) -> Vec<u32> {
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    texts
        .flat_map(|text| {
            assert!(text.ends_with('\n') || text.is_empty());
            text.lines()
                .map(|line| line.split("number ").nth(1).unwrap().split('.').next().unwrap().parse().unwrap())
                .collect::<Vec<u32>>()
        })
        .collect()
}

async fn write(disk: &dyn spillway::target::Target, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let shipment = shipment(Signal::Logs, Encoding::Gzip, &format!("number {number}."));
        assert_eq!(disk.send(&shipment).await, Answer::accepted());
    }
}

#[tokio::test]
async fn a_full_file_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("otlp.jsonl");
    let mut config = file(&path);
    config.max_file = 1000;
    let disk = file_target(config.clone());
    write(&*disk, 0..60).await;
    drop(disk);
    write(&*file_target(config), 60..100).await;

    let files = files(&path);
    assert!(files.len() > 3, "{files:?}");
    for file in &files {
        assert!(fs::metadata(file).unwrap().len() <= 1000);
    }
    assert_eq!(numbers(&files), (0..100).collect::<Vec<_>>(), "nothing lost, in order, across a restart");
    let name = files[0].file_name().unwrap().to_str().unwrap();
    assert!(
        name.starts_with("otlp-20") && name.ends_with(".jsonl") && name.len() == "otlp-.jsonl".len() + 23,
        "{name}"
    );
}

#[tokio::test]
async fn the_oldest_make_room() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("otlp.jsonl");
    fs::write(dir.path().join("otlp-notes.jsonl"), "somebody else's").unwrap();
    let mut config = file(&path);
    (config.max_file, config.max_total) = (1000, 3500);
    let disk = file_target(config);
    for number in 0..200 {
        write(&*disk, number..number + 1).await;
        let ours = files(&path).into_iter().filter(|file| !file.ends_with("otlp-notes.jsonl"));
        let total: u64 = ours.map(|file| fs::metadata(file).unwrap().len()).sum();
        assert!(total <= 3500, "{total} bytes after line {number}");
    }
    assert_eq!(fs::read_to_string(dir.path().join("otlp-notes.jsonl")).unwrap(), "somebody else's");
    fs::remove_file(dir.path().join("otlp-notes.jsonl")).unwrap();
    let kept = numbers(&files(&path));
    assert_eq!(kept, (kept[0]..200).collect::<Vec<_>>(), "the newest, without a gap");
}

#[tokio::test]
async fn an_old_file_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("otlp.jsonl");
    let mut config = file(&path);
    config.max_age = Duration::from_millis(1);
    let disk = file_target(config);
    write(&*disk, 0..1).await;
    // The age of a file is a matter of the file system's clock, which no test can pause.
    let born = fs::metadata(&path).unwrap().created().unwrap();
    while born.elapsed().unwrap() < Duration::from_millis(2) {
        tokio::task::yield_now().await;
    }
    write(&*disk, 1..2).await;
    let files = files(&path);
    assert_eq!(files.len(), 2);
    assert_eq!(numbers(&files), [0, 1]);
}

/// Scenario: a line longer than one file may be, and one longer than all of them.
/// Guarantee: the first has a file of its own, the second is answered as too large, which has it split.
#[tokio::test]
async fn a_line_that_fits_into_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("otlp.jsonl");
    let mut config = file(&path);
    (config.max_file, config.max_total) = (1000, 10_000);
    let disk = file_target(config);
    write(&*disk, 0..3).await;
    let long = shipment(Signal::Logs, Encoding::Gzip, &format!("number 3.{}", "x".repeat(5000)));
    assert_eq!(disk.send(&long).await, Answer::accepted());
    let longer = shipment(Signal::Logs, Encoding::Gzip, &"x".repeat(20_000));
    let answer = disk.send(&longer).await;
    assert!(matches!(&answer, Answer::Http { status: 413, .. }), "{answer}");
    write(&*disk, 4..5).await;
    assert_eq!(numbers(&files(&path)), [0, 1, 2, 3, 4]);
}
