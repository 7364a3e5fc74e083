//! Whether the MANIFEST is as new as the logs: a MANIFEST that lost its last words reads well, and names files of the past.
//!
//! Each edit in it says the last sequence so far, ahead of what it says of files (`db/version_edit.cc` of RocksDB 11.8). The
//! logs that are kept go on from there, or earlier.

use std::io;
use std::path::Path;

use super::changes::varint;
use super::log::Entry;
use super::wal;

/// The last sequence that the MANIFEST knows of; `None` when there is none that can be read.
pub(super) fn last_sequence(store: &Path) -> io::Result<Option<u64>> {
    let current = std::fs::read_to_string(store.join("CURRENT"))?;
    let mut last = None;
    for entry in wal::entries(&store.join(current.trim_end()))? {
        if let Entry::Record(edit) = entry? {
            last = last.max(sequence(&edit));
        }
    }
    Ok(last)
}

fn sequence(mut edit: &[u8]) -> Option<u64> {
    loop {
        match varint(&mut edit)? {
            4 => return varint(&mut edit),
            2 | 3 | 9 | 10 | 203 => drop(varint(&mut edit)?), // numbers of logs, files and families
            1 | 8193 => {
                let len = usize::try_from(varint(&mut edit)?).ok()?; // the comparator's name, the store's id
                edit = edit.get(len..)?;
            }
            _ => return None,
        }
    }
}
