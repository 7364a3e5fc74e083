//! Small values of the `meta` family.

use super::{Garbled, Reader};
use crate::config::Durability;

/// Whether a process has the store open, and what it promised its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) enum Run {
    /// It was closed with everything written and synced.
    Closed,
    /// A process opened it and did not close it yet, or ended without closing.
    Open(Durability),
}

impl Run {
    /// As it lies on disk.
    pub(in crate::queue) const fn encode(self) -> [u8; 1] {
        match self {
            Run::Closed => [0],
            Run::Open(Durability::Fsync) => [1],
            Run::Open(Durability::Interval) => [2],
            Run::Open(Durability::Os) => [3],
        }
    }

    /// Reads what [`encode`](Run::encode) wrote.
    pub(in crate::queue) fn decode(bytes: &[u8]) -> Result<Run, Garbled> {
        match bytes {
            [0] => Ok(Run::Closed),
            [1] => Ok(Run::Open(Durability::Fsync)),
            [2] => Ok(Run::Open(Durability::Interval)),
            [3] => Ok(Run::Open(Durability::Os)),
            _ => Err(Garbled("the run marker means nothing")),
        }
    }
}

/// All clocks, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) struct Reading {
    /// The queue's clock in milliseconds.
    pub queue_ms: u64,
    /// The time of day in milliseconds since the Unix epoch.
    pub wall_ms: u64,
    /// Milliseconds since the machine was booted,
    pub since_boot_ms: u64,
    /// which was this time.
    pub boot: u128,
}

impl Reading {
    /// As it lies on disk.
    pub(in crate::queue) fn encode(self) -> [u8; 40] {
        let mut bytes = [0; 40];
        for (slot, number) in bytes.chunks_exact_mut(8).zip([self.queue_ms, self.wall_ms, self.since_boot_ms]) {
            slot.copy_from_slice(&number.to_le_bytes());
        }
        bytes[24..].copy_from_slice(&self.boot.to_le_bytes());
        bytes
    }

    /// Reads what [`encode`](Reading::encode) wrote.
    pub(in crate::queue) fn decode(bytes: &[u8]) -> Result<Reading, Garbled> {
        let mut reader = Reader(bytes);
        let (queue_ms, wall_ms, since_boot_ms) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let boot = u128::from(reader.u64()?) | u128::from(reader.u64()?) << 64;
        Ok(Reading { queue_ms, wall_ms, since_boot_ms, boot })
    }
}

/// Dead letters held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::queue) struct Dead {
    /// How many.
    pub batches: u64,
    /// Bytes of their bodies and kept headers.
    pub bytes: u64,
}

impl Dead {
    /// As it lies on disk.
    pub(in crate::queue) fn encode(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.batches.to_le_bytes());
        bytes[8..].copy_from_slice(&self.bytes.to_le_bytes());
        bytes
    }

    /// Reads what [`encode`](Dead::encode) wrote.
    pub(in crate::queue) fn decode(bytes: &[u8]) -> Result<Dead, Garbled> {
        let mut reader = Reader(bytes);
        Ok(Dead { batches: reader.u64()?, bytes: reader.u64()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_read_as_they_were_written() {
        for run in
            [Run::Closed, Run::Open(Durability::Fsync), Run::Open(Durability::Interval), Run::Open(Durability::Os)]
        {
            assert_eq!(Run::decode(&run.encode()), Ok(run));
        }
        assert!(Run::decode(&[4]).is_err());
        let reading = Reading { queue_ms: 1, wall_ms: 2, since_boot_ms: u64::MAX, boot: u128::MAX - 5 };
        assert_eq!(Reading::decode(&reading.encode()), Ok(reading));
        let dead = Dead { batches: 3, bytes: 1 << 40 };
        assert_eq!(Dead::decode(&dead.encode()), Ok(dead));
    }
}
