//! What is on its way by itself, and how often it was when the process ended.
//!
//! Version (1), store id (8), number of batches (1), then of each: signal (1), sequence (8), part (2), ends (1), whether it is out
//! now (1); CRC32C (4). What follows is of a longer list before.

use super::{Garbled, Reader};
use crate::batch::{Key, Signal};

const VERSION: u8 = 1;
const HEAD: usize = 10;
const SUSPECT: usize = 13;

/// A batch that may have ended the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) struct Suspect {
    pub signal: Signal,
    pub key: Key,
    /// How often the process ended while it was on its way.
    pub ends: u8,
    /// Whether it is on its way.
    pub out: bool,
}

impl Suspect {
    /// Whether it is that batch.
    pub(in crate::queue) fn is(&self, signal: Signal, key: Key) -> bool {
        (self.signal, self.key) == (signal, key)
    }
}

/// As they lie on disk. Suspects of that store, 255 at most.
pub(in crate::queue) fn encode(store: u64, suspects: &[Suspect]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend(store.to_le_bytes());
    bytes.push(suspects.len() as u8);
    for suspect in suspects {
        bytes.push(suspect.signal.index() as u8);
        bytes.extend(suspect.key.seq.to_le_bytes());
        bytes.extend(suspect.key.part.to_le_bytes());
        bytes.extend([suspect.ends, u8::from(suspect.out)]);
    }
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// Reads what [`encode`] wrote: the store and its suspects.
pub(in crate::queue) fn decode(bytes: &[u8]) -> Result<(u64, Vec<Suspect>), Garbled> {
    let mut reader = Reader(bytes);
    if reader.u8()? != VERSION {
        return Err(Garbled("the list of suspects is of an unknown version"));
    }
    let (store, count) = (reader.u64()?, usize::from(reader.u8()?));
    let (content, rest) =
        bytes.split_at_checked(HEAD + count * SUSPECT).ok_or(Garbled("the list of suspects is cut"))?;
    if Reader(rest).u32()? != crc32c::crc32c(content) {
        return Err(Garbled("the list of suspects does not match its checksum"));
    }
    let mut suspects = Vec::with_capacity(count);
    for _ in 0..count {
        let signal = usize::from(reader.u8()?);
        let signal = *Signal::ALL.get(signal).ok_or(Garbled("a suspect is of no signal"))?;
        let key = Key { seq: reader.u64()?, part: reader.u16()? };
        suspects.push(Suspect { signal, key, ends: reader.u8()?, out: reader.u8()? != 0 });
    }
    Ok((store, suspects))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_read_as_they_were_written() {
        let suspect = Suspect { signal: Signal::Logs, key: Key { seq: 1 << 40, part: 7 }, ends: 2, out: true };
        let suspects = [suspect, Suspect { signal: Signal::Traces, key: Key::new(1), ends: 0, out: false }];
        let mut bytes = encode(7, &suspects);
        bytes.extend(b"of before");
        assert_eq!(decode(&bytes), Ok((7, suspects.to_vec())));
        assert_eq!(decode(&encode(8, &[])), Ok((8, vec![])));
        let whole = encode(7, &suspects);
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bytes).is_err() && decode(&whole[..bit / 8]).is_err(), "bit {bit}");
        }
    }
}
