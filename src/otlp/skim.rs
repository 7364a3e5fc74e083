//! One checked walk over the wire format of an export request, to the leaves.
//!
//! The verdict is that of the decoder which is generated from the same `.proto` files (prost): what it accepts is
//! accepted, what it refuses is refused, and the counts agree. But nothing is built: the walk reads each byte once and
//! allocates only to describe an error. It must stay near the speed of memory, since it looks at every byte that
//! passes through the gateway. It knows nothing of compression, of JSON, or of what an attribute means; of spans it hands over to
//! [`origin`](super::origin) what tells whose they are.

use super::malformed::{Malformed, Place};
use super::origin::{Notes, Origin, SpanNotes};
use super::schema::{self, MAX_DEPTH, Message, Op, Step};
use super::wire::{self, Flaw, delimited, fixed, key, skip, varint};
use crate::batch::Signal;

/// What the walk found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Skim<'a> {
    /// Spans, data points or log records.
    pub items: u32,
    /// Of spans: how many of which cluster. Without spans it is empty.
    pub origins: Vec<Origin<'a>>,
}

/// Checks `bytes` as an uncompressed `Export*ServiceRequest` of `signal` and counts its items.
///
/// Fields that the schema does not know are tolerated, as protobuf demands.
///
/// # Errors
/// [`Malformed`] with the path of the field and its offset when the bytes are no such message.
pub fn skim(signal: Signal, bytes: &[u8]) -> Result<Skim<'_>, Malformed> {
    let mut walk = Walk { items: 0, notes: Notes::default() };
    match walk.message(schema::request(signal), bytes, MAX_DEPTH) {
        Ok(()) => Ok(Skim { items: walk.items, origins: walk.notes.origins }),
        Err(fault) => Err(mistaken(bytes).unwrap_or_else(|| fault.describe())),
    }
}

/// The two mistakes that clients make with whole bodies, since any other description of these would puzzle.
fn mistaken(bytes: &[u8]) -> Option<Malformed> {
    let what = match bytes {
        [b'{', ..] => "looks like JSON, but came as protobuf; the content type decides",
        [0x1f, 0x8b, ..] => "looks compressed with gzip, but came without naming an encoding",
        _ => return None,
    };
    Some(Malformed { path: String::new(), what: what.to_owned(), place: Place::Byte(0) })
}

struct Walk<'a> {
    items: u32,
    notes: Notes<'a>,
}

/// The members of a message's `oneof` as they come by. The last one holds and displaces the items of the others.
struct Choice {
    held: Option<u8>,
    items_before: u32,
}

impl<'a> Walk<'a> {
    fn message(&mut self, message: &'static Message, bytes: &'a [u8], depth: u32) -> Result<(), Box<Fault>> {
        let mut choice = Choice { held: None, items_before: self.items };
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.field(message, rest, depth, &mut choice) {
                Ok(behind) => rest = behind,
                Err(trouble) => return Err(locate(trouble, message, bytes, rest)),
            }
        }
        Ok(())
    }

    /// Reads the field at the start of `bytes`, which is not empty, and returns what lies behind it.
    #[inline(always)]
    fn field(
        &mut self,
        message: &'static Message,
        bytes: &'a [u8],
        depth: u32,
        choice: &mut Choice,
    ) -> Result<&'a [u8], Trouble> {
        let (step, value) = match bytes {
            [key @ 0..0x80, value @ ..] => (message.steps[usize::from(*key)], value),
            // The varint of a key from 128 to 255 is the key itself and a 1. Field 16 has one, of each span.
            [key, 1, value @ ..] => (message.steps[usize::from(*key)], value),
            _ => long_key(message, bytes)?,
        };
        match step.op {
            Op::Varint => Ok(varint(value)?.1),
            Op::Four => Ok(fixed::<4>(value)?.1),
            Op::Eight => Ok(fixed::<8>(value)?.1),
            Op::Text => {
                let (text, rest) = delimited(value)?;
                utf8(text)?;
                Ok(rest)
            }
            Op::Bytes => Ok(delimited(value)?.1),
            Op::Attribute => {
                let (pair, rest) = delimited(value)?;
                if depth < 2 || !is_plain_pair(pair) {
                    self.child(message, step, pair, depth)?;
                }
                Ok(rest)
            }
            Op::Value => {
                let (inner, rest) = delimited(value)?;
                if depth < 1 || !is_plain_string(inner) {
                    self.child(message, step, inner, depth)?;
                }
                Ok(rest)
            }
            Op::Message => {
                let (inner, rest) = delimited(value)?;
                self.child(message, step, inner, depth)?;
                Ok(rest)
            }
            Op::Item => {
                let (item, rest) = delimited(value)?;
                self.items += 1;
                self.child(message, step, item, depth)?;
                Ok(rest)
            }
            Op::Choice => {
                let (member, rest) = delimited(value)?;
                if choice.held != Some(step.field) {
                    choice.held = Some(step.field);
                    self.items = choice.items_before;
                }
                self.child(message, step, member, depth)?;
                Ok(rest)
            }
            Op::Origin => {
                let (resource_spans, rest) = delimited(value)?;
                let before = self.items;
                self.child(message, step, resource_spans, depth)?;
                self.notes.resource_ends(resource_spans, self.items - before);
                Ok(rest)
            }
            Op::Span => {
                let (span, rest) = delimited(value)?;
                self.items += 1;
                self.notes.span = SpanNotes::default();
                self.child(message, step, span, depth)?;
                self.notes.span_ends(span);
                Ok(rest)
            }
            Op::SpanKind => {
                let (kind, rest) = varint(value)?;
                self.notes.span.kind = kind as u32;
                Ok(rest)
            }
            Op::Parent => {
                let (id, rest) = delimited(value)?;
                self.notes.span.has_parent = !id.is_empty();
                Ok(rest)
            }
            Op::PackedVarints => {
                let (mut values, rest) = delimited(value)?;
                while !values.is_empty() {
                    values = varint(values)?.1;
                }
                Ok(rest)
            }
            Op::PackedEights => {
                let (values, rest) = delimited(value)?;
                if values.len().is_multiple_of(8) { Ok(rest) } else { Err(Flaw::Uneven.into()) }
            }
            Op::Stray => stray(message, bytes, depth),
        }
    }

    #[inline(always)]
    fn child(&mut self, parent: &'static Message, step: Step, bytes: &'a [u8], depth: u32) -> Result<(), Trouble> {
        let schema::Kind::Message(message) = parent.fields[step.field as usize].kind else {
            unreachable!("the schema gives message steps to message fields only")
        };
        if depth == 0 {
            return Err(Flaw::TooDeep.into());
        }
        self.message(message, bytes, depth - 1).map_err(Trouble::Inside)
    }
}

/// Whether a key-value pair is of the common shape: a short ASCII key, and a short ASCII string, a number or a boolean.
/// What is not goes the long way.
#[inline(always)]
fn is_plain_pair(pair: &[u8]) -> bool {
    let [KEY, key_len @ 0..0x80, behind @ ..] = pair else { return false };
    let Some((key, [VALUE, value_len @ 0..0x80, value @ ..])) = behind.split_at_checked(*key_len as usize) else {
        return false;
    };
    if *value_len as usize != value.len() {
        return false;
    }
    match value {
        // Tags and lengths are ASCII too, so that one look at all bytes settles the encoding of both strings.
        [STRING_VALUE, len, string @ ..] => *len as usize == string.len() && is_ascii(pair),
        [INT_VALUE | BOOL_VALUE, number @ ..] => matches!(varint(number), Ok((_, []))) && is_ascii(key),
        [DOUBLE_VALUE, number @ ..] => number.len() == 8 && is_ascii(key),
        _ => false,
    }
}

/// Whether an `AnyValue` is an ASCII string and nothing else.
#[inline(always)]
fn is_plain_string(value: &[u8]) -> bool {
    match value {
        [STRING_VALUE, behind @ ..] => matches!(delimited(behind), Ok((string, [])) if is_ascii(string)),
        _ => false,
    }
}

// The keys of `KeyValue` and `AnyValue`, for the shortcuts above.
const KEY: u8 = 1 << 3 | wire::DELIMITED as u8;
const VALUE: u8 = 2 << 3 | wire::DELIMITED as u8;
const STRING_VALUE: u8 = 1 << 3 | wire::DELIMITED as u8;
const BOOL_VALUE: u8 = 2 << 3 | wire::VARINT as u8;
const INT_VALUE: u8 = 3 << 3 | wire::VARINT as u8;
const DOUBLE_VALUE: u8 = 4 << 3 | wire::EIGHT as u8;

/// As [`slice::is_ascii`], but quick on the short strings of telemetry: no loop over single bytes, the last word overlaps
/// the one before it.
#[inline(always)]
fn is_ascii(bytes: &[u8]) -> bool {
    const HIGH: u128 = u128::from_ne_bytes([0x80; 16]);
    let seen = if let Some(last) = bytes.last_chunk() {
        let words = bytes.as_chunks().0.iter();
        words.fold(u128::from_ne_bytes(*last), |seen, word| seen | u128::from_ne_bytes(*word))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        (u64::from_ne_bytes(*first) | u64::from_ne_bytes(*last)).into()
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        (u32::from_ne_bytes(*first) | u32::from_ne_bytes(*last)).into()
    } else {
        bytes.iter().fold(0, |seen, byte| seen | byte).into()
    };
    seen & HIGH == 0
}

#[inline(always)]
fn utf8(text: &[u8]) -> Result<(), Flaw> {
    if is_ascii(text) { Ok(()) } else { not_ascii(text) }
}

#[cold]
fn not_ascii(text: &[u8]) -> Result<(), Flaw> {
    std::str::from_utf8(text).map(drop).map_err(|error| Flaw::NotUtf8 { valid: error.valid_up_to() })
}

#[cold]
fn long_key<'a>(message: &Message, bytes: &'a [u8]) -> Result<(Step, &'a [u8]), Flaw> {
    let (number, wire, value) = key(bytes)?;
    Ok((message.step(number, wire), value))
}

/// A field that the schema does not know is skipped; one that it knows has come in a wrong wire type.
#[cold]
fn stray<'a>(message: &Message, bytes: &'a [u8], depth: u32) -> Result<&'a [u8], Trouble> {
    let (number, wire, value) = key(bytes)?;
    if message.fields.iter().any(|field| field.number == number) {
        return Err(Flaw::WireType(wire).into());
    }
    Ok(skip(number, wire, value, depth)?)
}

/// What went wrong at one field.
enum Trouble {
    /// With the field itself.
    Here(Flaw),
    /// Inside the message that it holds.
    Inside(Box<Fault>),
}

impl From<Flaw> for Trouble {
    #[cold]
    fn from(flaw: Flaw) -> Trouble {
        Trouble::Here(flaw)
    }
}

/// A fault and the way to it, written down while the walk returns from it.
struct Fault {
    flaw: Flaw,
    /// Offset in the innermost message whose walk has returned.
    offset: usize,
    /// From the inside out: field name, and which one of a repeated field.
    path: Vec<(&'static str, Option<usize>)>,
}

/// Adds to a trouble the place where it happened: the field at the start of `rest`, the tail of `bytes`.
#[cold]
#[inline(never)]
fn locate(trouble: Trouble, message: &Message, bytes: &[u8], rest: &[u8]) -> Box<Fault> {
    let start = bytes.len() - rest.len();
    let mut fault = match trouble {
        Trouble::Here(flaw) => Box::new(Fault { flaw, offset: start, path: Vec::new() }),
        Trouble::Inside(mut fault) => {
            let value = key(rest).and_then(|(_, _, value)| varint(value)).map_or(rest, |(_, value)| value);
            fault.offset += bytes.len() - value.len();
            fault
        }
    };
    if let Ok((number, ..)) = key(rest)
        && let Some(field) = message.fields.iter().find(|field| field.number == number)
    {
        let index = field.repeats().then(|| count(number, &bytes[..start]));
        fault.path.push((field.name, index));
    }
    fault
}

/// How many fields of that number `bytes` hold. They were walked before, so they are sound.
fn count(number: u32, mut bytes: &[u8]) -> usize {
    let mut found = 0;
    while let Ok((other, wire, value)) = key(bytes)
        && let Ok(rest) = skip(other, wire, value, MAX_DEPTH)
    {
        found += usize::from(other == number);
        bytes = rest;
    }
    found
}

impl Fault {
    fn describe(&self) -> Malformed {
        let mut path = String::new();
        for (name, index) in self.path.iter().rev() {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(name);
            if let Some(index) = index {
                path.push_str(&format!("[{index}]"));
            }
        }
        Malformed { path, what: self.flaw.describe(), place: Place::Byte(self.offset) }
    }
}

#[cfg(test)]
mod tests;
