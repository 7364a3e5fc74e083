//! From OTLP/JSON to protobuf.

use std::fmt;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::batch::Signal;
use crate::otlp::malformed::{Malformed, Place};
use crate::otlp::schema::{self, Field, Kind, Message, camel_case};
use crate::otlp::wire::{self, put_key, put_length_before, put_varint};

/// Reads an OTLP/JSON export request of `signal` and returns it as uncompressed protobuf.
///
/// Keys that the schema does not know are ignored, `null` leaves a field unset, numbers may be strings and enums may be
/// names. Objects and lists may nest 127 deep.
///
/// # Errors
/// [`Malformed`] with the path of the field, line and column, when the text is no JSON or does not fit the schema.
pub fn from_json(signal: Signal, text: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut target = Target { out: Vec::with_capacity(text.len() / 2), path: Vec::new() };
    let mut json = serde_json::Deserializer::from_slice(text);
    let request = Object { message: schema::request(signal), target: &mut target };
    match json.deserialize_map(request).and_then(|()| json.end()) {
        Ok(()) => Ok(target.out),
        Err(error) => Err(target.malformed(&error)),
    }
}

/// Where the protobuf bytes go, and where in the text we are.
struct Target {
    out: Vec<u8>,
    /// From the outside in. What failed is not taken off again, so that it tells the place of an error.
    path: Vec<(&'static str, Option<usize>)>,
}

impl Target {
    fn malformed(&self, error: &serde_json::Error) -> Malformed {
        let mut path = String::new();
        for (name, index) in &self.path {
            if !path.is_empty() {
                path.push('.');
            }
            path.extend(camel_case(name).map(char::from));
            if let Some(index) = index {
                path.push_str(&format!("[{index}]"));
            }
        }
        let (line, column) = (error.line(), error.column());
        let what = error.to_string();
        let what = what.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&what).to_owned();
        Malformed { path, what, place: Place::Text { line, column } }
    }
}

/// An object, read into the fields of a message.
struct Object<'a> {
    message: &'static Message,
    target: &'a mut Target,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(Name(self.message))? {
            match field {
                Some(field) => {
                    self.target.path.push((field.name, None));
                    map.next_value_seed(Value { field, listed: false, target: &mut *self.target })?;
                    self.target.path.pop();
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// A key, looked up among the fields of a message.
struct Name(&'static Message);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Option<&'static Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.fields.iter().find(|field| field.is_called(key)))
    }
}

/// A value, written as one field with its key; a list of numbers as one packed field.
struct Value<'a> {
    field: &'static Field,
    /// Whether it is an element of the field's list.
    listed: bool,
    target: &'a mut Target,
}

impl Value<'_> {
    fn out(&mut self) -> &mut Vec<u8> {
        &mut self.target.out
    }

    /// Elements of a packed list share one key.
    fn put_key(&mut self) {
        let (number, wire) = (self.field.number, self.field.kind.wire());
        if !self.listed || wire == wire::DELIMITED {
            put_key(number, wire, self.out());
        }
    }

    fn put_delimited(mut self, bytes: &[u8]) {
        self.put_key();
        put_varint(bytes.len() as u64, self.out());
        self.out().extend_from_slice(bytes);
    }

    fn put_integer<E: Error>(mut self, value: i128) -> Result<(), E> {
        let out_of_range =
            |_| E::custom(format_args!("{value} is out of range, expected {}", expected(self.field.kind)));
        match self.field.kind {
            Kind::Int32 | Kind::Enum(_) => {
                let value = i32::try_from(value).map_err(out_of_range)?;
                self.put_key();
                put_varint(i64::from(value).cast_unsigned(), self.out());
            }
            Kind::Sint32 => {
                let value = i32::try_from(value).map_err(out_of_range)?;
                self.put_key();
                put_varint((value << 1 ^ value >> 31).cast_unsigned().into(), self.out());
            }
            Kind::Int64 => {
                let value = i64::try_from(value).map_err(out_of_range)?;
                self.put_key();
                put_varint(value.cast_unsigned(), self.out());
            }
            Kind::Sfixed64 => {
                let value = i64::try_from(value).map_err(out_of_range)?;
                self.put_key();
                self.out().extend_from_slice(&value.to_le_bytes());
            }
            Kind::Uint32 => {
                let value = u32::try_from(value).map_err(out_of_range)?;
                self.put_key();
                put_varint(value.into(), self.out());
            }
            Kind::Fixed32 => {
                let value = u32::try_from(value).map_err(out_of_range)?;
                self.put_key();
                self.out().extend_from_slice(&value.to_le_bytes());
            }
            Kind::Uint64 => {
                let value = u64::try_from(value).map_err(out_of_range)?;
                self.put_key();
                put_varint(value, self.out());
            }
            Kind::Fixed64 => {
                let value = u64::try_from(value).map_err(out_of_range)?;
                self.put_key();
                self.out().extend_from_slice(&value.to_le_bytes());
            }
            Kind::Double => self.put_double(value as f64),
            Kind::String | Kind::Bytes | Kind::Id(_) | Kind::Bool | Kind::Message(_) => {
                return Err(E::custom(format_args!(
                    "invalid type: number `{value}`, expected {}",
                    expected(self.field.kind)
                )));
            }
        }
        Ok(())
    }

    fn put_double(mut self, value: f64) {
        self.put_key();
        self.out().extend_from_slice(&value.to_le_bytes());
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.repeats() && !self.listed {
            f.write_str("a list")
        } else {
            f.write_str(expected(self.field.kind))
        }
    }

    /// `null` is a field left out. In a list of messages it is an empty one, as the collector reads it.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        match self.field.kind {
            Kind::Message(_) if self.listed => self.put_delimited(&[]),
            _ if self.listed => return Err(E::custom("null cannot be an element of this list")),
            _ => {}
        }
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        match self.field.kind {
            Kind::Bool => {
                self.put_key();
                self.out().push(value.into());
                Ok(())
            }
            _ => Err(E::invalid_type(serde::de::Unexpected::Bool(value), &self)),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.put_integer(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.put_integer(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        match self.field.kind {
            Kind::Double => {
                self.put_double(value);
                Ok(())
            }
            // 1e3 and 5.0 are integers too.
            _ if value.fract() == 0.0 => self.put_integer(value as i128),
            _ => Err(E::invalid_type(serde::de::Unexpected::Float(value), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let unexpected = |value: &Self| E::invalid_value(serde::de::Unexpected::Str(text), value);
        match self.field.kind {
            Kind::String => self.put_delimited(text.as_bytes()),
            Kind::Bytes => {
                let bytes = base64(text).ok_or_else(|| unexpected(&self))?;
                self.put_delimited(&bytes);
            }
            Kind::Id(len) => {
                let id = hex(text, len).ok_or_else(|| unexpected(&self))?;
                self.put_delimited(&id[..text.len() / 2]);
            }
            Kind::Double => {
                let value = double(text).ok_or_else(|| unexpected(&self))?;
                self.put_double(value);
            }
            Kind::Enum(from_name) => {
                let value =
                    from_name(text).map(i128::from).or_else(|| integer(text)).ok_or_else(|| unexpected(&self))?;
                self.put_integer(value)?;
            }
            Kind::Bool | Kind::Message(_) => return Err(unexpected(&self)),
            _ => {
                let value = integer(text).ok_or_else(|| unexpected(&self))?;
                self.put_integer(value)?;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        let Kind::Message(message) = self.field.kind else {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self));
        };
        if self.field.repeats() && !self.listed {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self));
        }
        self.put_key();
        let start = self.out().len();
        Object { message, target: &mut *self.target }.visit_map(map)?;
        put_length_before(start, self.out());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        if !self.field.repeats() || self.listed {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self));
        }
        let packed = self.field.kind.wire() != wire::DELIMITED;
        if packed {
            put_key(self.field.number, wire::DELIMITED, self.out());
        }
        let start = self.out().len();
        for index in 0.. {
            if let Some((_, place)) = self.target.path.last_mut() {
                *place = Some(index);
            }
            let element = Value { field: self.field, listed: true, target: &mut *self.target };
            if seq.next_element_seed(element)?.is_none() {
                break;
            }
        }
        if packed {
            put_length_before(start, self.out());
        }
        Ok(())
    }
}

/// What a value of that kind looks like, for messages.
const fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "a string",
        Kind::Bytes => "a string in base64",
        Kind::Id(16) => "a trace id of 32 hexadecimal digits",
        Kind::Id(_) => "a span id of 16 hexadecimal digits",
        Kind::Bool => "true or false",
        Kind::Int32 | Kind::Sint32 => "a 32-bit integer",
        Kind::Uint32 | Kind::Fixed32 => "an unsigned 32-bit integer",
        Kind::Int64 | Kind::Sfixed64 => "a 64-bit integer, as a string or a number",
        Kind::Uint64 | Kind::Fixed64 => "an unsigned 64-bit integer, as a string or a number",
        Kind::Double => "a number, \"NaN\", \"Infinity\" or \"-Infinity\"",
        Kind::Enum(_) => "the number of an enum value",
        Kind::Message(_) => "an object",
    }
}

/// An integer as ProtoJSON spells it in strings: decimal, also with an exponent.
fn integer(text: &str) -> Option<i128> {
    text.parse().ok().or_else(|| double(text).filter(|value| value.fract() == 0.0).map(|value| value as i128))
}

fn double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        // Rust reads more words than these.
        _ if text.bytes().any(|byte| !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) => None,
        _ => text.parse().ok().filter(|value: &f64| value.is_finite()),
    }
}

/// An id of `len` bytes, or none at all, in hexadecimal of any case. The bytes behind it are zero.
fn hex(text: &str, len: usize) -> Option<[u8; 16]> {
    let mut id = [0; 16];
    if !text.is_empty() && text.len() != 2 * len {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    for (byte, pair) in id.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(id)
}

/// Base64 in the standard alphabet or that for URLs, with padding or without (ProtoJSON).
fn base64(text: &str) -> Option<Vec<u8>> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, CONFIG);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, CONFIG);
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}
