//! From protobuf to one line of OTLP/JSON.

use std::fmt;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::batch::Signal;
use crate::otlp::malformed::{Malformed, Place};
use crate::otlp::schema::{self, Field, Kind, Message, Rule, camel_case};
use crate::otlp::skim::skim;
use crate::otlp::wire::{self, Flaw, delimited, fixed, key, skip, varint};

/// Appends an uncompressed protobuf export request to `out` as one line of OTLP/JSON, with its line feed, as the
/// collector's file exporter writes it and its otlpjsonfile receiver reads it.
///
/// Unset fields are left out, ids are hexadecimal, 64-bit integers are strings, enums are numbers. Fields that the
/// schema does not know are lost.
///
/// # Errors
/// [`Malformed`] when `protobuf` is no export request of `signal`; `out` is then as it was.
pub fn write_json_line(signal: Signal, protobuf: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    skim(signal, protobuf)?;
    let start = out.len();
    let written = write_message(schema::request(signal), protobuf, out);
    if let Err(flaw) = written {
        out.truncate(start);
        return Err(Malformed { path: String::new(), what: flaw.describe(), place: Place::Byte(0) });
    }
    out.push(b'\n');
    Ok(())
}

/// One occurrence of a field.
#[derive(Clone, Copy)]
struct Occurrence<'a> {
    field: &'static Field,
    wire: u32,
    /// The bytes of a number, the content of anything delimited.
    value: &'a [u8],
}

fn write_message(message: &'static Message, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Flaw> {
    out.push(b'{');
    let mut first = true;
    for same in gather(message, bytes)?.chunk_by(|a, b| a.field.number == b.field.number) {
        let field = same[0].field;
        if is_unset(field, same)? {
            continue;
        }
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        out.push(b'"');
        out.extend(camel_case(field.name));
        out.extend_from_slice(b"\":");
        write_field(field, same, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// The known fields of a message, sorted by number and otherwise in their order: on the wire they may come in any, and
/// repeatedly.
fn gather<'a>(message: &'static Message, bytes: &'a [u8]) -> Result<Vec<Occurrence<'a>>, Flaw> {
    let mut found: Vec<Occurrence<'_>> = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (number, wire, value) = key(rest)?;
        rest = skip(number, wire, value, schema::MAX_DEPTH)?;
        let Some(field) = message.fields.iter().find(|field| field.number == number) else { continue };
        let value = match wire {
            wire::DELIMITED => delimited(value)?.0,
            _ => &value[..value.len() - rest.len()],
        };
        if field.rule == Rule::Member {
            found.retain(|other| other.field.rule != Rule::Member || other.field.number == number);
        }
        found.push(Occurrence { field, wire, value });
    }
    found.sort_by_key(|occurrence| occurrence.field.number);
    Ok(found)
}

/// Whether these occurrences amount to a field that is not there.
fn is_unset(field: &Field, same: &[Occurrence<'_>]) -> Result<bool, Flaw> {
    let delimited = field.kind.wire() == wire::DELIMITED;
    Ok(match (field.rule, same) {
        (Rule::Single, [.., last]) if delimited => last.value.is_empty(),
        (Rule::Single, [.., last]) => number(field.kind, last.value)?.0 == 0,
        (Rule::Repeated, _) => !delimited && same.iter().all(|list| list.value.is_empty()),
        _ => false,
    })
}

fn write_field(field: &'static Field, same: &[Occurrence<'_>], out: &mut Vec<u8>) -> Result<(), Flaw> {
    match (field.kind, same) {
        _ if field.repeats() => write_list(field.kind, same, out),
        // A message that comes in pieces is one message: protobuf merges them, and to merge is to concatenate.
        (Kind::Message(message), [_, _, ..]) => {
            let whole: Vec<u8> = same.iter().flat_map(|piece| piece.value).copied().collect();
            write_message(message, &whole, out)
        }
        (kind, _) => same.last().map_or(Ok(()), |last| write_value(kind, last.value, out).map(drop)),
    }
}

fn write_list(kind: Kind, same: &[Occurrence<'_>], out: &mut Vec<u8>) -> Result<(), Flaw> {
    out.push(b'[');
    let start = out.len();
    for occurrence in same {
        let mut rest = occurrence.value;
        // A packed list holds any number of values, everything else is one, even an empty string.
        let packed = occurrence.wire != kind.wire();
        while !packed || !rest.is_empty() {
            if out.len() > start {
                out.push(b',');
            }
            rest = write_value(kind, rest, out)?;
            if !packed {
                break;
            }
        }
    }
    out.push(b']');
    Ok(())
}

/// Writes the value at the start of `bytes`, all of them if it is delimited, and returns what lies behind it.
fn write_value<'a>(kind: Kind, bytes: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], Flaw> {
    match kind {
        Kind::Message(message) => write_message(message, bytes, out)?,
        Kind::String => {
            let text = String::from_utf8_lossy(bytes);
            serde_json::to_writer(out, &text).expect("a text can be written into a vector");
        }
        Kind::Bytes => put(format_args!("\"{}\"", STANDARD.encode(bytes)), out),
        Kind::Id(_) => {
            out.push(b'"');
            bytes.iter().for_each(|byte| put(format_args!("{byte:02x}"), out));
            out.push(b'"');
        }
        _ => {
            let (value, rest) = number(kind, bytes)?;
            write_number(kind, value, out);
            return Ok(rest);
        }
    }
    Ok(&[])
}

/// The number at the start of `bytes`, as its bits, and what lies behind it.
fn number(kind: Kind, bytes: &[u8]) -> Result<(u64, &[u8]), Flaw> {
    match kind.wire() {
        wire::EIGHT => fixed(bytes).map(|(value, rest)| (u64::from_le_bytes(*value), rest)),
        wire::FOUR => fixed(bytes).map(|(value, rest)| (u32::from_le_bytes(*value).into(), rest)),
        _ => varint(bytes),
    }
}

fn write_number(kind: Kind, bits: u64, out: &mut Vec<u8>) {
    let low = bits as u32; // protobuf cuts off what a 32-bit number cannot hold
    match kind {
        Kind::Bool => put(format_args!("{}", bits != 0), out),
        Kind::Sint32 => put(format_args!("{}", (low >> 1).cast_signed() ^ -(low & 1).cast_signed()), out),
        Kind::Uint32 | Kind::Fixed32 => put(format_args!("{low}"), out),
        Kind::Int64 | Kind::Sfixed64 => put(format_args!("\"{}\"", bits.cast_signed()), out),
        Kind::Uint64 | Kind::Fixed64 => put(format_args!("\"{bits}\""), out),
        Kind::Double => match f64::from_bits(bits) {
            value if value.is_nan() => out.extend_from_slice(b"\"NaN\""),
            f64::INFINITY => out.extend_from_slice(b"\"Infinity\""),
            f64::NEG_INFINITY => out.extend_from_slice(b"\"-Infinity\""),
            value => serde_json::to_writer(out, &value).expect("a number can be written into a vector"),
        },
        _ => put(format_args!("{}", low.cast_signed()), out), // Int32, Enum
    }
}

fn put(text: fmt::Arguments<'_>, out: &mut Vec<u8>) {
    out.write_fmt(text).expect("a vector takes all that is written to it");
}
