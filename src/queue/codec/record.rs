//! A record: a header of ours, then the client's body as it came.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, [`VERSION`] |
//! | 1, 1, 1 | signal, encoding, zero |
//! | 4, 4, 8 | items, inflated length, received-at in ms since the Unix epoch |
//! | 4 | epoch in which it was appended: part of its name on the wire |
//! | 4 | CRC32C of the body |
//! | 4 | length of the kept headers in bytes |
//! | n | kept headers: name length (2), value length (4), name, value, again and again |
//! | 4 | CRC32C of all of the above |
//! | rest | body |

use bytes::Bytes;

use super::{Garbled, Reader};
use crate::batch::{Batch, Encoding, Signal};

const VERSION: u8 = 1;
/// Header without kept headers, its checksum included.
const FIXED: usize = 36;

/// Writes the header of a record into `head`, which it clears. `crc` is that of the body.
pub(in crate::queue) fn encode(batch: &Batch, epoch: u32, crc: u32, head: &mut Vec<u8>) {
    head.clear();
    head.extend([VERSION, batch.signal.index() as u8, batch.encoding as u8, 0]);
    head.extend(batch.items.to_le_bytes());
    head.extend(batch.inflated_len.to_le_bytes());
    head.extend(batch.received_at_ms.to_le_bytes());
    head.extend(epoch.to_le_bytes());
    head.extend(crc.to_le_bytes());
    let kept: usize = batch.headers.iter().map(|(name, value)| 6 + name.len() + value.len()).sum();
    head.extend((kept as u32).to_le_bytes());
    for (name, value) in batch.headers.iter() {
        head.extend((name.len() as u16).to_le_bytes());
        head.extend((value.len() as u32).to_le_bytes());
        head.extend(name.as_bytes());
        head.extend(value.as_bytes());
    }
    head.extend(crc32c::crc32c(head).to_le_bytes());
}

/// Reads a record, without copying its body, and the epoch in which it was appended. Both checksums must hold; otherwise
/// the bytes come back.
pub(in crate::queue) fn decode(value: Vec<u8>) -> Result<(Batch, u32), (Garbled, Bytes)> {
    let head = parse(&value);
    let value = Bytes::from(value);
    match head {
        Ok((head, epoch, len)) => Ok((Batch { body: value.slice(len..), ..head }, epoch)),
        Err(garbled) => Err((garbled, value)),
    }
}

/// A batch without its body, its epoch, and the length of the header.
fn parse(value: &[u8]) -> Result<(Batch, u32, usize), Garbled> {
    let mut reader = Reader(value);
    if reader.u8()? != VERSION {
        return Err(Garbled("the record is of an unknown version"));
    }
    let signal = *Signal::ALL.get(usize::from(reader.u8()?)).ok_or(Garbled("the record is of an unknown signal"))?;
    let encoding =
        *Encoding::ALL.get(usize::from(reader.u8()?)).ok_or(Garbled("the record is of an unknown encoding"))?;
    reader.u8()?;
    let (items, inflated_len, received_at_ms) = (reader.u32()?, reader.u32()?, reader.u64()?);
    let (epoch, crc, kept) = (reader.u32()?, reader.u32()?, reader.u32()? as usize);
    let mut kept_reader = Reader(reader.take(kept)?);
    let len = FIXED + kept;
    if reader.u32()? != crc32c::crc32c(&value[..len - 4]) {
        return Err(Garbled("the record's header does not match its checksum"));
    }
    if crc != crc32c::crc32c(reader.0) {
        return Err(Garbled("the record's body does not match its checksum"));
    }
    let mut headers = Vec::new();
    while !kept_reader.0.is_empty() {
        let (name, value) = (usize::from(kept_reader.u16()?), kept_reader.u32()? as usize);
        headers.push((text(kept_reader.take(name)?)?, text(kept_reader.take(value)?)?));
    }
    let (headers, body) = (headers.into(), Bytes::new());
    Ok((Batch { signal, encoding, items, inflated_len, received_at_ms, headers, body }, epoch, len))
}

fn text(bytes: &[u8]) -> Result<Box<str>, Garbled> {
    std::str::from_utf8(bytes).map(Box::from).map_err(|_| Garbled("a kept header is not text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(body: &[u8], headers: &[(&str, &str)]) -> Batch {
        Batch {
            signal: Signal::Logs,
            encoding: Encoding::Gzip,
            items: 17,
            inflated_len: 4096,
            received_at_ms: 1_700_000_000_123,
            headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            body: Bytes::copy_from_slice(body),
        }
    }

    fn stored(batch: &Batch) -> Vec<u8> {
        let mut value = Vec::new();
        encode(batch, 9, crc32c::crc32c(&batch.body), &mut value);
        value.extend_from_slice(&batch.body);
        value
    }

    #[test]
    fn a_record_reads_as_it_was_written() {
        for batch in [batch(b"", &[]), batch(b"body", &[("x-tenant", "a"), ("x-empty", "")])] {
            assert_eq!(decode(stored(&batch)), Ok((batch, 9)));
        }
    }

    /// Scenario: a record of version 1 as the first release wrote it. Guarantee: its layout stands, whatever words are added.
    #[test]
    fn the_layout_of_version_1_stands() {
        let value = stored(&batch(b"body", &[("k", "v")]));
        let head = [1, 2, 1, 0, 17, 0, 0, 0, 0, 16, 0, 0, 0x7b, 0x68, 0xe5, 0xcf, 0x8b, 1, 0, 0, 9, 0, 0, 0];
        assert_eq!(value[..24], head);
        assert_eq!(value[28..40], [8, 0, 0, 0, 1, 0, 1, 0, 0, 0, b'k', b'v']);
        assert_eq!(value[44..], *b"body");
    }

    /// Scenario: a hundred thousand records that were changed at random. Guarantee: one that reads is one that was written, but for
    /// what its checksums cannot see: a change that was undone.
    #[test]
    fn fuzz_records() {
        let kept = [("k", "v"), ("x-tenant", "blue")];
        let whole = [batch(b"", &[]), batch(b"some body", &kept[..1]), batch(&[7; 100], &kept)];
        let sound = whole.each_ref().map(stored);
        crate::fuzzed::fuzz(&sound, |value| {
            if let Ok((batch, epoch)) = decode(value.to_vec()) {
                assert!(epoch == 9 && whole.contains(&batch), "{value:02x?}");
            }
        });
    }

    /// Scenario: each bit of a record is flipped once, and it is cut at each length. Guarantee: none of them reads as a record.
    #[test]
    fn a_damaged_record_is_noticed_wherever_the_damage_is() {
        let whole = stored(&batch(b"some body", &[("k", "v")]));
        for bit in 0..whole.len() * 8 {
            let mut value = whole.clone();
            value[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(value).is_err(), "bit {bit}");
        }
        for len in 0..whole.len() {
            assert!(decode(whole[..len].to_vec()).is_err(), "cut at {len}");
        }
    }
}
