//! What was on its way, one at a time, after an end without close; and how often each of them was when the process ended.
//!
//! Version (1), then of each batch: signal (1), sequence (8), part (2), ends (1), whether it is out now (1).

use super::{Garbled, Reader};
use crate::batch::{Key, Signal};

const VERSION: u8 = 1;

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

/// As they lie on disk.
pub(in crate::queue) fn encode(suspects: &[Suspect]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    for suspect in suspects {
        bytes.push(suspect.signal.index() as u8);
        bytes.extend(suspect.key.seq.to_le_bytes());
        bytes.extend(suspect.key.part.to_le_bytes());
        bytes.extend([suspect.ends, u8::from(suspect.out)]);
    }
    bytes
}

/// Reads what [`encode`] wrote.
pub(in crate::queue) fn decode(bytes: &[u8]) -> Result<Vec<Suspect>, Garbled> {
    let mut reader = Reader(bytes);
    if reader.u8()? != VERSION {
        return Err(Garbled("the list of suspects is of an unknown version"));
    }
    let mut suspects = Vec::new();
    while !reader.0.is_empty() {
        let signal = usize::from(reader.u8()?);
        let signal = *Signal::ALL.get(signal).ok_or(Garbled("a suspect is of no signal"))?;
        let key = Key { seq: reader.u64()?, part: reader.u16()? };
        suspects.push(Suspect { signal, key, ends: reader.u8()?, out: reader.u8()? != 0 });
    }
    Ok(suspects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_read_as_they_were_written() {
        let suspect = Suspect { signal: Signal::Logs, key: Key { seq: 1 << 40, part: 7 }, ends: 2, out: true };
        let suspects = [suspect, Suspect { signal: Signal::Traces, key: Key::new(1), ends: 0, out: false }];
        let bytes = encode(&suspects);
        assert_eq!(decode(&bytes), Ok(suspects.to_vec()));
        assert_eq!(decode(&encode(&[])), Ok(vec![]));
        assert!(decode(&bytes[..bytes.len() - 1]).is_err() && decode(b"").is_err() && decode(&[9]).is_err());
    }
}
