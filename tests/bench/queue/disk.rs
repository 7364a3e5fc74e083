//! What the disk does without a queue.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise, statvfs};

use crate::MIB;

/// Plain sequential writes of 1 MiB, each synced, in bytes a second.
pub(crate) fn plain(place: &Path, bytes: u64) -> f64 {
    let folder = tempfile::tempdir_in(place).expect("a folder");
    let mut file = File::create(folder.path().join("plain")).expect("a file");
    let block = vec![7; MIB as usize];
    let begun = Instant::now();
    for _ in 0..bytes / MIB {
        file.write_all(&block).and_then(|()| file.sync_data()).expect("a write");
    }
    bytes as f64 / begun.elapsed().as_secs_f64()
}

/// Reads so many bytes from the files of a folder, in order, from a cold disk; bytes a second.
pub(crate) fn plain_read(folder: &Path, bytes: u64) -> f64 {
    forget(folder);
    let mut files: Vec<_> = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()).collect();
    files.sort();
    let (mut block, mut done) = (vec![0; MIB as usize], 0);
    let begun = Instant::now();
    for mut file in files.iter().filter_map(|path| File::open(path).ok()) {
        while done < bytes {
            match file.read(&mut block).expect("a read") {
                0 => break,
                read => done += read as u64,
            }
        }
    }
    let speed = done as f64 / begun.elapsed().as_secs_f64();
    forget(folder);
    speed
}

/// Times in seconds from when each of `count` writes of so many bytes at the end of a file was due until it was synced. One is due
/// every `pause`, whether or not those before it are done; without a pause each follows the one before.
pub(crate) fn syncs(place: &Path, count: u32, len: usize, pause: Duration) -> Vec<f64> {
    let folder = tempfile::tempdir_in(place).expect("a folder");
    let mut file = File::create(folder.path().join("plain")).expect("a file");
    let block = vec![7; len];
    let begun = Instant::now();
    let once = |number| {
        let due = if pause.is_zero() { Instant::now() } else { begun + pause * number };
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            thread::sleep(early);
        }
        file.write_all(&block).and_then(|()| file.sync_data()).expect("a write");
        due.elapsed().as_secs_f64()
    };
    (0..count).map(once).collect()
}

/// Bytes that the files in a folder take.
pub(crate) fn taken(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.blocks() * 512).sum()
}

/// Takes the files of a folder out of the page cache.
pub(crate) fn forget(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if let Ok(file) = File::open(entry.path()) {
            let _ = file.sync_all();
            let _ = fadvise(&file, 0, None, Advice::DontNeed);
        }
    }
}

/// Free bytes of the volume.
pub(crate) fn free(place: &Path) -> u64 {
    statvfs(place).map_or(0, |volume| volume.f_bavail * volume.f_frsize)
}
