//! RocksDB's blob files, read without RocksDB: each record in them says its own key, length and checksums.
//!
//! A header of 30 bytes (magic, version, family, …), then records: key length (8), value length (8), expiration (8), masked
//! CRC32C of those (4), masked CRC32C of key and value (4), key, value; a footer of 32 bytes where the file was finished
//! (`db/blob/blob_log_format.h` of RocksDB 11.8). Header and footer are not needed: neither is believed where it is damaged.

use super::changes;
use super::log::unmask;
use crate::queue::store::Family;

const MAGIC: [u8; 4] = 2_395_959u32.to_le_bytes();
const FILE_HEADER: usize = 30;
const FOOTER: usize = 32;
const RECORD_HEADER: usize = 32;
/// Keys of this queue are no longer.
const LONGEST_KEY: u64 = 11;

/// What lies in a blob file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'b> {
    Record {
        key: &'b [u8],
        value: &'b [u8],
    },
    /// So many bytes that are part of no record, or of one that is not what was written.
    Bad(usize),
}

/// The family that a file belongs to, by its header.
pub(super) fn family(file: &[u8]) -> Option<Family> {
    let rest = file.strip_prefix(&MAGIC)?;
    let number = rest.get(4..8)?.first_chunk()?;
    changes::family(u64::from(u32::from_le_bytes(*number)))
}

/// Everything in a file, in its order.
pub(super) fn read(file: &[u8]) -> impl Iterator<Item = Found<'_>> {
    let mut at = FILE_HEADER.min(file.len());
    std::iter::from_fn(move || {
        let rest = &file[at..];
        if rest.is_empty() || is_footer(rest) {
            return None;
        }
        let Some((key, whole)) = lengths(rest) else {
            let next = (1..rest.len()).find(|skip| is_footer(&rest[*skip..]) || lengths(&rest[*skip..]).is_some());
            let bad = next.unwrap_or(rest.len());
            at += bad;
            return Some(Found::Bad(bad));
        };
        at += whole;
        let (key, value) = rest[RECORD_HEADER..whole].split_at(key);
        let stored = u32::from_le_bytes([rest[28], rest[29], rest[30], rest[31]]);
        match unmask(stored) == crc32c::crc32c(&rest[RECORD_HEADER..whole]) {
            true => Some(Found::Record { key, value }),
            false => Some(Found::Bad(whole)),
        }
    })
}

/// Length of the key, and of the whole record, where a record's header stands that says so.
fn lengths(bytes: &[u8]) -> Option<(usize, usize)> {
    let header = bytes.get(..RECORD_HEADER)?;
    let number = |at: usize| header[at..].first_chunk().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes));
    let (key, value, expiration) = (number(0), number(8), number(16));
    if key == 0 || key > LONGEST_KEY || expiration != 0 || value > bytes.len() as u64 {
        return None;
    }
    let stored = u32::from_le_bytes([header[24], header[25], header[26], header[27]]);
    let whole = RECORD_HEADER + (key + value) as usize;
    (whole <= bytes.len() && unmask(stored) == crc32c::crc32c(&header[..24])).then_some((key as usize, whole))
}

fn is_footer(bytes: &[u8]) -> bool {
    bytes.len() == FOOTER && bytes.starts_with(&MAGIC)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::log::mask;
    use super::*;

    fn file(values: &[Vec<u8>]) -> Vec<u8> {
        let mut file = [MAGIC.as_slice(), &1u32.to_le_bytes(), &3u32.to_le_bytes(), &[0; 18]].concat();
        for (seq, value) in values.iter().enumerate() {
            let key = (seq as u64).to_be_bytes();
            let lengths = [8u64, value.len() as u64, 0].map(u64::to_le_bytes).concat();
            file.extend(&lengths);
            file.extend(mask(crc32c::crc32c(&lengths)).to_le_bytes());
            file.extend(mask(crc32c::crc32c_append(crc32c::crc32c(&key), value)).to_le_bytes());
            file.extend(key);
            file.extend(value);
        }
        file.extend(MAGIC);
        file.extend([0; 28]);
        file
    }

    fn records(file: &[u8]) -> Vec<Vec<u8>> {
        read(file)
            .filter_map(|found| match found {
                Found::Record { value, .. } => Some(value.to_vec()),
                Found::Bad(_) => None,
            })
            .collect()
    }

    /// Scenario: each bit of a blob file is flipped once. Guarantee: at most one record is lost, none is altered.
    #[test]
    fn a_flipped_bit_costs_one_record_at_most() {
        let values = [vec![1; 90], vec![], vec![3; 40]];
        let whole = file(&values);
        assert_eq!((records(&whole), family(&whole)), (values.to_vec(), Some(Family::ALL[2])));
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let left = records(&flipped);
            assert!(left.len() >= 2 && left.iter().all(|value| values.contains(value)), "bit {bit}: {left:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read_to_their_end(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
            let bad: usize = read(&bytes).map(|found| if let Found::Bad(bad) = found { bad } else { 0 }).sum();
            prop_assert!(bad <= bytes.len());
        }
    }
}
