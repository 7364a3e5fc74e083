//! What the volume of a folder was given to write, whoever gave it.
//!
//! Not what `/proc/PID/io` says: that counts a page cache folio whole, some hundred KiB, whenever a byte in it changes after a sync.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{major, minor};

/// Bytes that reached the block device since it is there; NaN where a folder lies on none (tmpfs, overlay). Their difference is a
/// benchmark's own if nothing else writes meanwhile.
pub(crate) fn written(place: &Path) -> f64 {
    let device = fs::metadata(place).expect("a folder").dev();
    let text = fs::read_to_string(format!("/sys/dev/block/{}:{}/stat", major(device), minor(device)));
    // Sectors of 512 bytes, in the seventh field (Documentation/block/stat.rst of Linux).
    let sectors = text.ok().and_then(|text| text.split_whitespace().nth(6)?.parse::<f64>().ok());
    sectors.map_or(f64::NAN, |sectors| sectors * 512.0)
}
