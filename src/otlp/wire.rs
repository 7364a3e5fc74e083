//! The protobuf wire format, one value at a time, on borrowed bytes.
//!
//! Readers return what they read and what lies behind it. They are as strict and as lenient as prost, whose verdict
//! the walk over a request has to share. Source: protobuf documentation, "Encoding".

use super::schema::MAX_DEPTH;

/// Wire types ("Message Structure").
pub(super) const VARINT: u32 = 0;
pub(super) const EIGHT: u32 = 1;
pub(super) const DELIMITED: u32 = 2;
pub(super) const GROUP: u32 = 3;
pub(super) const END_GROUP: u32 = 4;
pub(super) const FOUR: u32 = 5;

/// What may be wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    BadKey,
    Cut,
    LongVarint,
    Overrun { stated: u64, left: usize },
    WireType(u32),
    NotUtf8 { valid: usize },
    Uneven,
    EndGroup,
    TooDeep,
}

impl Flaw {
    /// The predicate of a sentence whose subject is the field.
    pub(super) fn describe(self) -> String {
        match self {
            Flaw::BadKey => "not protobuf: no field begins like this".to_owned(),
            Flaw::Cut => "ends in the middle of a number".to_owned(),
            Flaw::LongVarint => "holds a number of more than 64 bits".to_owned(),
            Flaw::Overrun { stated, left } => format!("should be {stated} bytes long, but only {left} are left"),
            Flaw::WireType(wire) => format!("has wire type {wire}, which does not fit its type in the OTLP schema"),
            Flaw::NotUtf8 { valid } => format!("is a string, but not valid UTF-8 from its byte {valid} on"),
            Flaw::Uneven => "is a list of 8-byte numbers, but its length is no multiple of 8".to_owned(),
            Flaw::EndGroup => "ends a group that was not begun".to_owned(),
            Flaw::TooDeep => format!("is nested more than {MAX_DEPTH} messages deep"),
        }
    }
}

/// A key: field number, wire type, and what lies behind it.
pub(super) fn key(bytes: &[u8]) -> Result<(u32, u32, &[u8]), Flaw> {
    let (key, rest) = varint(bytes)?;
    let key = u32::try_from(key).map_err(|_| Flaw::BadKey)?;
    let (number, wire) = (key >> 3, key & 7);
    if number == 0 || wire > FOUR { Err(Flaw::BadKey) } else { Ok((number, wire, rest)) }
}

/// A number of 1 to 10 bytes.
#[inline(always)]
pub(super) fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), Flaw> {
    match bytes {
        [byte @ 0..0x80, rest @ ..] => Ok((u64::from(*byte), rest)),
        _ => long_varint(bytes),
    }
}

fn long_varint(bytes: &[u8]) -> Result<(u64, &[u8]), Flaw> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().enumerate().take(10) {
        if at == 9 && byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Ok((value, &bytes[at + 1..]));
        }
    }
    Err(if bytes.len() < 10 { Flaw::Cut } else { Flaw::LongVarint })
}

/// A number of `N` bytes.
#[inline(always)]
pub(super) fn fixed<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), Flaw> {
    bytes.split_first_chunk().ok_or(Flaw::Overrun { stated: N as u64, left: bytes.len() })
}

/// A length and as many bytes.
#[inline(always)]
pub(super) fn delimited(bytes: &[u8]) -> Result<(&[u8], &[u8]), Flaw> {
    let (len, behind) = varint(bytes)?;
    let split = usize::try_from(len).ok().and_then(|len| behind.split_at_checked(len));
    split.ok_or(Flaw::Overrun { stated: len, left: behind.len() })
}

/// A value of unknown meaning, at `depth` levels above the nesting limit; returns what lies behind it.
pub(super) fn skip(number: u32, wire: u32, bytes: &[u8], depth: u32) -> Result<&[u8], Flaw> {
    if depth == 0 {
        return Err(Flaw::TooDeep);
    }
    match wire {
        VARINT => Ok(varint(bytes)?.1),
        EIGHT => Ok(fixed::<8>(bytes)?.1),
        FOUR => Ok(fixed::<4>(bytes)?.1),
        DELIMITED => Ok(delimited(bytes)?.1),
        GROUP => {
            let mut rest = bytes;
            loop {
                let (inner, wire, value) = key(rest)?;
                match wire {
                    END_GROUP if inner == number => return Ok(value),
                    END_GROUP => return Err(Flaw::EndGroup),
                    _ => rest = skip(inner, wire, value, depth - 1)?,
                }
            }
        }
        _ => Err(Flaw::EndGroup),
    }
}

/// Appends a varint.
pub(super) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a key.
pub(super) fn put_key(number: u32, wire: u32, out: &mut Vec<u8>) {
    put_varint((number << 3 | wire).into(), out);
}

/// Puts its length in front of what was appended to `out` since it was `start` bytes long.
pub(super) fn put_length_before(start: usize, out: &mut Vec<u8>) {
    let end = out.len();
    put_varint((end - start) as u64, out);
    let width = out.len() - end;
    out[start..].rotate_right(width);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Numbers of any magnitude, with something behind them.
        /// Guarantees that what is appended is what is read, to its last byte.
        #[test]
        fn numbers_survive(value: u64, shift in 0..64_u32, number in 1..1_u32 << 29, wire in 0..6_u32) {
            let mut bytes = Vec::new();
            put_varint(value >> shift, &mut bytes);
            put_key(number, wire, &mut bytes);
            bytes.push(0xff);
            let (read, rest) = varint(&bytes).unwrap();
            prop_assert_eq!(read, value >> shift);
            prop_assert_eq!(key(rest), Ok((number, wire, &[0xff_u8][..])));
        }

        /// Contents whose length takes one byte, and two.
        /// Guarantees that a length put in front afterwards encloses exactly the content.
        #[test]
        fn a_length_can_be_put_in_front(before: Vec<u8>, content in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = [before.as_slice(), &content].concat();
            put_length_before(before.len(), &mut bytes);
            prop_assert_eq!(&bytes[..before.len()], &before);
            prop_assert_eq!(delimited(&bytes[before.len()..]), Ok((content.as_slice(), &[][..])));
        }
    }

    /// Numbers cut short, of eleven bytes, and of more than 64 bits; keys without number or with a wire type too many.
    /// Guarantees that each is refused.
    #[test]
    fn what_is_no_number_is_refused() {
        assert_eq!(varint(&[]), Err(Flaw::Cut));
        assert_eq!(varint(&[0x80; 9]), Err(Flaw::Cut));
        assert_eq!(varint(&[0x80; 11]), Err(Flaw::LongVarint));
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]), Err(Flaw::LongVarint));
        for bytes in [&[0x00][..], &[0x02], &[0x0e], &[0x0f], &[0x80, 0x80, 0x80, 0x80, 0x10]] {
            assert_eq!(key(bytes), Err(Flaw::BadKey), "{bytes:x?}");
        }
    }
}
