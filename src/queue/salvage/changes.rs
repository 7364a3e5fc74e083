//! What a record of a write-ahead log says: one set of changes, as RocksDB's WriteBatch has it.
//!
//! Sequence (8 bytes), count (4), then for each change a tag, a family's number and length-prefixed strings
//! (`db/write_batch.cc` of RocksDB 11.8). Only the tags that this queue's writes have are read; any other makes the record
//! unreadable, never wrong.

use crate::queue::store::Family;

/// Length of sequence and count.
const HEADER: usize = 12;

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) enum Change<'b> {
    Put(Family, &'b [u8], &'b [u8]),
    Remove(Family, &'b [u8]),
    /// Everything from the first key up to, and without, the second.
    RemoveRange(Family, &'b [u8], &'b [u8]),
}

/// Sequence of the first change and how many there are; `None` when the record is no set of changes.
pub(in crate::queue) fn header(record: &[u8]) -> Option<(u64, u32)> {
    let (sequence, rest) = record.split_first_chunk()?;
    let count = rest.first_chunk()?;
    Some((u64::from_le_bytes(*sequence), u32::from_le_bytes(*count)))
}

/// The changes in a record; those of families that are not ours are left out. `None` when it does not read.
pub(in crate::queue) fn parse(record: &[u8]) -> Option<Vec<Change<'_>>> {
    let mut rest = record.get(HEADER..)?;
    let mut changes = Vec::new();
    while let Some((tag, after)) = rest.split_first() {
        rest = after;
        let family = match tag {
            0x4 | 0x5 | 0x8 | 0xE => family(varint(&mut rest)?),
            0x0 | 0x1 | 0x7 | 0xF => None, // of the family `default`, which holds nothing of ours
            0x3 => {
                string(&mut rest)?;
                continue;
            }
            0xD => continue,
            _ => return None,
        };
        let key = string(&mut rest)?;
        let value = if matches!(tag, 0x1 | 0x5 | 0xE | 0xF) { string(&mut rest)? } else { &[] };
        changes.extend(family.map(|family| match tag {
            0x5 => Change::Put(family, key, value),
            0xE => Change::RemoveRange(family, key, value),
            _ => Change::Remove(family, key),
        }));
    }
    Some(changes)
}

/// RocksDB numbers families as they were made: [`Family::ALL`], after its own `default`.
pub(in crate::queue) fn family(number: u64) -> Option<Family> {
    Family::ALL.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
}

/// A number of seven bits a byte, least first.
pub(in crate::queue) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn string<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let len = usize::try_from(varint(bytes)?).ok()?;
    let (string, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(string)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = (header(&bytes), parse(&bytes));
        }
    }

    #[test]
    fn a_number_is_not_longer_than_ten_bytes() {
        assert_eq!(varint(&mut [0x96, 1, 7].as_slice()), Some(150));
        assert_eq!(varint(&mut [0xff; 11].as_slice()), None);
        assert_eq!(varint(&mut [0x80].as_slice()), None);
    }
}
