//! The index twin of a record: what is asked of it without reading its body.
//!
//! Version (2), items (4), weight in bytes (8), received-at (8), CRC32C of the body (4), aged-from (8). Version 1 ends before
//! that. Signal and sequence are its key.

use super::{Garbled, Reader};
use crate::batch::Batch;

const VERSION: u8 = 2;
/// Length of a twin in bytes.
const LEN: usize = 33;

/// What the index says of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) struct Twin {
    /// Spans, data points or log records inside.
    pub items: u32,
    /// Bytes of body and kept headers ([`Batch::weight`](crate::batch::Batch::weight)).
    pub weight: u64,
    /// Milliseconds since the Unix epoch, as the time of day had it: for people.
    pub received_at_ms: u64,
    /// CRC32C of the body.
    pub crc: u32,
    /// When it was taken, on the [queue's clock](crate::queue::clock::Clock): for its age.
    pub aged_from_ms: u64,
}

impl Twin {
    /// Of a batch whose body has that CRC32C.
    pub(in crate::queue) fn of(batch: &Batch, crc: u32, aged_from_ms: u64) -> Twin {
        let Batch { items, received_at_ms, .. } = *batch;
        Twin { items, weight: batch.weight() as u64, received_at_ms, crc, aged_from_ms }
    }

    /// As it lies on disk.
    pub(in crate::queue) fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[0] = VERSION;
        bytes[1..5].copy_from_slice(&self.items.to_le_bytes());
        bytes[5..13].copy_from_slice(&self.weight.to_le_bytes());
        bytes[13..21].copy_from_slice(&self.received_at_ms.to_le_bytes());
        bytes[21..25].copy_from_slice(&self.crc.to_le_bytes());
        bytes[25..].copy_from_slice(&self.aged_from_ms.to_le_bytes());
        bytes
    }

    /// Reads what [`encode`](Twin::encode) wrote.
    pub(in crate::queue) fn decode(bytes: &[u8]) -> Result<Twin, Garbled> {
        Twin::read(&mut Reader(bytes))
    }

    /// Reads it off the front of a longer value.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Twin, Garbled> {
        let version = reader.u8()?;
        let (items, weight, received_at_ms, crc) = (reader.u32()?, reader.u64()?, reader.u64()?, reader.u32()?);
        let aged_from_ms = match version {
            1 => received_at_ms,
            VERSION => reader.u64()?,
            _ => return Err(Garbled("index entry is of an unknown version")),
        };
        Ok(Twin { items, weight, received_at_ms, crc, aged_from_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_reads_as_it_was_written() {
        let twin =
            Twin { items: 3, weight: u64::MAX, received_at_ms: 1_700_000_000_123, crc: 0xDEAD_BEEF, aged_from_ms: 5 };
        let bytes = twin.encode();
        assert_eq!(Twin::decode(&bytes), Ok(twin));
        assert!((0..LEN).all(|len| Twin::decode(&bytes[..len]).is_err()));
        assert!(Twin::decode(&[3; LEN]).is_err());
    }

    #[test]
    fn one_of_version_1_is_as_old_as_the_time_of_day_said() {
        let twin = Twin { items: 3, weight: 4, received_at_ms: 5, crc: 6, aged_from_ms: 5 };
        let mut bytes = twin.encode();
        bytes[0] = 1;
        assert_eq!(Twin::decode(&bytes[..25]), Ok(twin));
    }
}
