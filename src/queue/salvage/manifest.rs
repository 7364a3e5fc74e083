//! Whether the MANIFEST is as new as the logs: a MANIFEST that lost its last words reads well, and names files of the past.
//!
//! Each edit in it says the last sequence so far, ahead of what it says of files (`db/version_edit.cc` of RocksDB 11.8). The
//! logs that are kept go on from there, or earlier.

use std::io;
use std::path::Path;

use super::changes::varint;
use super::log::Entry;
use super::wal;

/// What the MANIFEST says of the logs; `None` for what no edit in it says that can be read.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// The last sequence that it knows of.
    pub last_sequence: Option<u64>,
    /// The first log that holds what is in no table.
    pub first_log: Option<u64>,
}

/// Reads the MANIFEST that is in use.
pub(super) fn head(store: &Path) -> io::Result<Head> {
    let current = std::fs::read_to_string(store.join("CURRENT"))?;
    let mut head = Head::default();
    for entry in wal::entries(&store.join(current.trim_end()))? {
        if let Entry::Record(edit) = entry? {
            head.read(&edit);
        }
    }
    Ok(head)
}

impl Head {
    fn read(&mut self, mut edit: &[u8]) -> Option<()> {
        loop {
            match varint(&mut edit)? {
                4 => {
                    self.last_sequence = self.last_sequence.max(Some(varint(&mut edit)?));
                    return None;
                }
                10 => self.first_log = self.first_log.max(Some(varint(&mut edit)?)),
                2 | 3 | 9 | 203 => drop(varint(&mut edit)?), // numbers of logs, files and families
                1 | 8193 => {
                    let len = usize::try_from(varint(&mut edit)?).ok()?; // the comparator's name, the store's id
                    edit = edit.get(len..)?;
                }
                _ => return None,
            }
        }
    }
}
