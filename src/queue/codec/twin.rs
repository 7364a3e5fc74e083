//! The index twin of a record: what is asked of it without reading its body.
//!
//! Version (1), items (4), weight in bytes (8), received-at (8), CRC32C of the body (4). Signal and sequence are its key.

use super::{Garbled, Reader};
use crate::batch::Batch;

const VERSION: u8 = 1;
/// Length of a twin in bytes.
pub(in crate::queue) const LEN: usize = 25;

/// What the index says of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) struct Twin {
    /// Spans, data points or log records inside.
    pub items: u32,
    /// Bytes of body and kept headers ([`Batch::weight`](crate::batch::Batch::weight)).
    pub weight: u64,
    /// Milliseconds since the Unix epoch.
    pub received_at_ms: u64,
    /// CRC32C of the body.
    pub crc: u32,
}

impl Twin {
    /// Of a batch whose body has that CRC32C.
    pub(in crate::queue) fn of(batch: &Batch, crc: u32) -> Twin {
        let Batch { items, received_at_ms, .. } = *batch;
        Twin { items, weight: batch.weight() as u64, received_at_ms, crc }
    }

    /// As it lies on disk.
    pub(in crate::queue) fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[0] = VERSION;
        bytes[1..5].copy_from_slice(&self.items.to_le_bytes());
        bytes[5..13].copy_from_slice(&self.weight.to_le_bytes());
        bytes[13..21].copy_from_slice(&self.received_at_ms.to_le_bytes());
        bytes[21..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    /// Reads what [`encode`](Twin::encode) wrote.
    pub(in crate::queue) fn decode(bytes: &[u8]) -> Result<Twin, Garbled> {
        let mut reader = Reader(bytes);
        if reader.u8()? != VERSION {
            return Err(Garbled("index entry is of an unknown version"));
        }
        Ok(Twin { items: reader.u32()?, weight: reader.u64()?, received_at_ms: reader.u64()?, crc: reader.u32()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_reads_as_it_was_written() {
        let twin = Twin { items: 3, weight: u64::MAX, received_at_ms: 1_700_000_000_123, crc: 0xDEAD_BEEF };
        assert_eq!(Twin::decode(&twin.encode()), Ok(twin));
        assert!(Twin::decode(&twin.encode()[..20]).is_err());
        assert!(Twin::decode(&[2; LEN]).is_err());
    }
}
