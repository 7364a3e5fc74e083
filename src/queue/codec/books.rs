//! A ledger on disk: fixed layout, absolute numbers.
//!
//! Version (1), number of dead reasons (1), number of drop reasons (1); then 8 bytes each: next sequence, low, accepted,
//! imported, queued, delivered, rejected, owed, queued batches, queued bytes, dead by reason, dropped by reason;
//! then what came later, as far as the release knew it: parked, parked batches, parked bytes, owed released; CRC32C
//! (4).
//! Reasons are only ever added at the end, so an older ledger reads as one with zeros there.

use super::{Garbled, Reader};
use crate::queue::ledger::Ledger;

const VERSION: u8 = 1;

/// The bytes of a ledger.
pub(in crate::queue) fn encode(books: &Ledger) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend([VERSION, books.dead.len() as u8, books.dropped.len() as u8]);
    let Ledger { next_seq, low, accepted, imported, queued, delivered, rejected, owed, .. } = *books;
    let fixed = [next_seq, low, accepted, imported, queued, delivered, rejected, owed];
    let queue = [books.queued_batches, books.queued_bytes];
    let later = [books.parked, books.parked_batches, books.parked_bytes, books.owed_released];
    for number in fixed.iter().chain(&queue).chain(&books.dead).chain(&books.dropped).chain(&later) {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// Reads what [`encode`] wrote, also of a release that knew fewer reasons.
pub(in crate::queue) fn decode(bytes: &[u8]) -> Result<Ledger, Garbled> {
    let (content, crc) = bytes.split_last_chunk().ok_or(Garbled("ledger is too short"))?;
    if u32::from_le_bytes(*crc) != crc32c::crc32c(content) {
        return Err(Garbled("ledger does not match its checksum"));
    }
    let mut reader = Reader(content);
    if reader.u8()? != VERSION {
        return Err(Garbled::NEWER);
    }
    let (dead, dropped) = (usize::from(reader.u8()?), usize::from(reader.u8()?));
    let mut books = Ledger {
        next_seq: reader.u64()?,
        low: reader.u64()?,
        accepted: reader.u64()?,
        imported: reader.u64()?,
        queued: reader.u64()?,
        delivered: reader.u64()?,
        rejected: reader.u64()?,
        owed: reader.u64()?,
        queued_batches: reader.u64()?,
        queued_bytes: reader.u64()?,
        ..Ledger::default()
    };
    if dead > books.dead.len() || dropped > books.dropped.len() {
        return Err(Garbled::NEWER);
    }
    for number in books.dead.iter_mut().take(dead).chain(books.dropped.iter_mut().take(dropped)) {
        *number = reader.u64()?;
    }
    let later = [&mut books.parked, &mut books.parked_batches, &mut books.parked_bytes, &mut books.owed_released];
    for number in later {
        if !reader.0.is_empty() {
            *number = reader.u64()?;
        }
    }
    Ok(books)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Ledger {
        Ledger {
            next_seq: 1,
            low: 2,
            accepted: 3,
            imported: 4,
            queued: 5,
            delivered: 6,
            rejected: 7,
            dead: [11, 12, 13, 14, 15, 16],
            dropped: [21, 22, 23, 24, 25, 26, 27],
            owed: 8,
            queued_batches: 9,
            queued_bytes: u64::MAX,
            parked: 31,
            parked_batches: 32,
            parked_bytes: 33,
            owed_released: 34,
        }
    }

    #[test]
    fn a_ledger_reads_as_it_was_written() {
        assert_eq!(decode(&encode(&full())), Ok(full()));
        assert_eq!(decode(&encode(&Ledger::default())), Ok(Ledger::default()));
    }

    /// Scenario: a ledger of version 1 as the first release wrote it. Guarantee: it reads, whatever is added later.
    #[test]
    fn the_layout_of_version_1_stands() {
        let bytes = encode(&full());
        assert_eq!(bytes.len(), 3 + 8 * (10 + 6 + 7 + 4) + 4);
        assert_eq!(bytes[..11], [1, 6, 7, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(crc32c::crc32c(&bytes[..bytes.len() - 4]).to_le_bytes(), bytes[bytes.len() - 4..]);
    }

    #[test]
    fn a_ledger_of_fewer_reasons_reads_with_zeros() {
        let mut bytes = vec![1, 1, 0];
        for number in 1..=11u64 {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        let books = decode(&bytes).unwrap();
        assert_eq!((books.next_seq, books.queued_bytes, books.dead), (1, 10, [11, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn a_damaged_ledger_is_noticed() {
        let whole = encode(&full());
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bytes).is_err(), "bit {bit}");
        }
    }
}
