//! The fields of a message on the wire, for whoever splices them and decodes nothing.

use super::wire::{self, delimited, key, skip};

/// Key and value of an attribute.
const KEY: u32 = 1;
const VALUE: u32 = 2;
/// The kind of a value that is text, and the last one there is.
pub(super) const STRING: u32 = 1;
const LAST_KIND: u32 = 8;

/// Nesting up to which fields of unknown meaning are skipped (prost's recursion limit).
const DEPTH: u32 = super::schema::MAX_DEPTH;

/// The fields of a message, one after the other; ends with `None` inside where the bytes are none.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

pub(super) struct Field<'a> {
    pub(super) number: u32,
    wire: u32,
    /// Key and value.
    pub(super) whole: &'a [u8],
    value: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<Field<'a>>;

    fn next(&mut self) -> Option<Option<Field<'a>>> {
        if self.0.is_empty() {
            return None;
        }
        let field = (|| {
            let (number, wire, value) = key(self.0).ok()?;
            let rest = skip(number, wire, value, DEPTH).ok()?;
            let whole = &self.0[..self.0.len() - rest.len()];
            Some((Field { number, wire, whole, value }, rest))
        })();
        let (field, rest) = field.map_or((None, &[][..]), |(field, rest)| (Some(field), rest));
        self.0 = rest;
        Some(field)
    }
}

impl<'a> Field<'a> {
    /// The message that the field holds.
    pub(super) fn message(&self) -> Option<&'a [u8]> {
        if self.wire != wire::DELIMITED {
            return None;
        }
        delimited(self.value).ok().map(|(message, _)| message)
    }
}

/// The value of an attribute, the last one where there are several.
pub(super) enum Value<'a> {
    Missing,
    Text(&'a [u8]),
    Other,
}

/// Key and value of a `KeyValue`; `None` where the bytes are none.
pub(super) fn attribute(pair: &[u8]) -> Option<(&[u8], Value<'_>)> {
    let (mut key, mut value) = (&[][..], Value::Missing);
    for field in Fields(pair) {
        let field = field?;
        match field.number {
            KEY => key = field.message()?,
            VALUE => {
                for kind in Fields(field.message()?) {
                    let kind = kind?;
                    match kind.number {
                        STRING => value = Value::Text(kind.message()?),
                        0..=LAST_KIND => value = Value::Other,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Some((key, value))
}
