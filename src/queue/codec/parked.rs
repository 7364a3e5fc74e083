//! The index entry of a parked batch: its [`twin`](super::twin), whether it is owed (1), and its story as JSON.
//!
//! The record itself lies in a family of its own, unchanged, so that all that is asked of suspects is asked without
//! reading a body.

use super::twin::Twin;
use super::{Garbled, Reader};
use crate::queue::lease::Verdict;

/// What the index says of a parked batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::queue) struct Parked {
    pub twin: Twin,
    /// Whether a fallback has it.
    pub owed: bool,
    /// Why it was parked.
    pub story: Verdict,
}

impl Parked {
    /// Whether the queue itself parked it, for what happens to the process when it is sent: no target is to get it unless a
    /// person wants that.
    pub(in crate::queue) fn is_barred(&self) -> bool {
        self.story.target.is_empty()
    }

    /// As it lies on disk.
    pub(in crate::queue) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.twin.encode().to_vec();
        bytes.push(u8::from(self.owed));
        bytes.extend(serde_json::to_vec(&self.story).unwrap_or_default());
        bytes
    }

    /// Reads what [`encode`](Parked::encode) wrote.
    pub(in crate::queue) fn decode(bytes: &[u8]) -> Result<Parked, Garbled> {
        let mut reader = Reader(bytes);
        let twin = Twin::read(&mut reader)?;
        let owed = reader.u8()? != 0;
        let story =
            serde_json::from_slice(reader.0).map_err(|_| Garbled("the story of a parked batch means nothing"))?;
        Ok(Parked { twin, owed, story })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::ledger::DeadReason;
    use crate::queue::tests::support::verdict;

    #[test]
    fn an_entry_reads_as_it_was_written() {
        let story = verdict(DeadReason::Suspect);
        let parked = Parked {
            twin: Twin { items: 3, weight: 4, received_at_ms: 5, crc: 6, aged_from_ms: 7 },
            owed: true,
            story,
        };
        let bytes = parked.encode();
        assert_eq!(Parked::decode(&bytes), Ok(parked));
        for len in 0..bytes.len() {
            assert!(Parked::decode(&bytes[..len]).is_err(), "cut at {len}");
        }
    }
}
