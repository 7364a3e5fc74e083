//! Puts attributes on every resource of an export request: who this cluster is.
//!
//! It splices wire bytes and decodes nothing, so whatever a resource holds beside them, known or not, goes on as it came. A request
//! whose resources have all of the attributes already is told apart without a copy: behind collectors that is the usual case.

use super::fields::{Fields, STRING, Value, attribute};
use super::wire::{DELIMITED, put_key, put_varint};

/// `ResourceSpans`, `ResourceMetrics` or `ResourceLogs` of a request; `Resource` of one of those; its attributes: all have this number.
const ONE: u32 = 1;
/// Key and value of an attribute.
const KEY: u32 = 1;
const VALUE: u32 = 2;

/// Attributes for every resource.
#[derive(Debug, Clone, Default)]
pub struct Tags {
    tags: Vec<Tag>,
    /// Whether another value is replaced too; one that is missing or an empty text always is.
    upsert: bool,
}

#[derive(Debug, Clone)]
struct Tag {
    key: String,
    value: String,
    /// As a field of a resource.
    field: Vec<u8>,
}

impl Tags {
    /// Of these keys and values, the later ones over earlier ones; without a value there is no tag.
    pub fn new<'a>(attributes: impl IntoIterator<Item = (&'a str, &'a str)>, upsert: bool) -> Tags {
        let mut tags = Vec::<Tag>::new();
        for (key, value) in attributes.into_iter().filter(|(_, value)| !value.is_empty()) {
            tags.retain(|tag| tag.key != key);
            let any = message(STRING, value.as_bytes());
            let pair = [message(KEY, key.as_bytes()), message(VALUE, &any)].concat();
            tags.push(Tag { key: key.to_owned(), value: value.to_owned(), field: message(ONE, &pair) });
        }
        Tags { tags, upsert }
    }

    /// What a resource that comes with `value` for `key` goes on with; empty stands for none.
    pub fn becomes<'a>(&'a self, key: &str, value: &'a str) -> &'a str {
        match self.tags.iter().find(|tag| tag.key == key) {
            Some(tag) if self.upsert || value.is_empty() => &tag.value,
            _ => value,
        }
    }

    /// The request with the tags; `None` where it has them, or where the bytes are no request.
    pub fn apply(&self, request: &[u8]) -> Option<Vec<u8>> {
        if self.tags.is_empty() || !self.changes(request)? {
            return None;
        }
        let mut out = Vec::with_capacity(request.len() + request.len() / 8 + 256);
        for field in Fields(request) {
            let field = field?;
            match field.number {
                ONE => self.tag(field.message()?, &mut out)?,
                _ => out.extend_from_slice(field.whole),
            }
        }
        Some(out)
    }

    /// Whether any resource of a request is to change.
    fn changes(&self, request: &[u8]) -> Option<bool> {
        for field in Fields(request) {
            let field = field?;
            if field.number == ONE {
                let has = self.has(field.message()?)?;
                if has.iter().any(|has| !has.right || has.wrong) {
                    return Some(true);
                }
            }
        }
        Some(false)
    }

    /// Appends one `ResourceSpans` or its like, its resource tagged. A resource may come in pieces, which are one in the end: so one
    /// goes in front, and the rest, which is nearly all of a request, is copied once.
    fn tag(&self, resource_spans: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let has = self.has(resource_spans)?;
        let (mut resource, mut rest) = (Vec::new(), 0);
        for field in Fields(resource_spans) {
            let field = field?;
            if field.number != ONE {
                rest += field.whole.len();
                continue;
            }
            for inner in Fields(field.message()?) {
                let inner = inner?;
                let gone = inner.number == ONE
                    && self.finds(inner.message()?)?.is_some_and(|(_, found)| found == Found::Wrong);
                if !gone {
                    resource.extend_from_slice(inner.whole);
                }
            }
        }
        let lacking = self.tags.iter().zip(&has).filter(|(_, has)| !has.right);
        lacking.for_each(|(tag, _)| resource.extend_from_slice(&tag.field));
        let resource = message(ONE, &resource);
        put_key(ONE, DELIMITED, out);
        put_varint((resource.len() + rest) as u64, out);
        out.extend_from_slice(&resource);
        for field in Fields(resource_spans) {
            let field = field?;
            if field.number != ONE {
                out.extend_from_slice(field.whole);
            }
        }
        Some(())
    }

    /// For each tag, what the resource of a `ResourceSpans` or its like has of it.
    fn has(&self, resource_spans: &[u8]) -> Option<Vec<Has>> {
        let mut has = vec![Has::default(); self.tags.len()];
        for piece in Fields(resource_spans) {
            let piece = piece?;
            if piece.number != ONE {
                continue;
            }
            for attribute in Fields(piece.message()?) {
                let attribute = attribute?;
                if attribute.number == ONE
                    && let Some((at, found)) = self.finds(attribute.message()?)?
                {
                    has[at].right |= found == Found::Right;
                    has[at].wrong |= found == Found::Wrong;
                }
            }
        }
        Some(has)
    }

    /// Which tag an attribute stands for, if any, and whether it may stay.
    fn finds(&self, pair: &[u8]) -> Option<Option<(usize, Found)>> {
        let (key, value) = attribute(pair)?;
        let Some(at) = self.tags.iter().position(|tag| tag.key.as_bytes() == key) else { return Some(None) };
        let found = match value {
            Value::Missing | Value::Text([]) => Found::Wrong,
            Value::Text(text) if text == self.tags[at].value.as_bytes() => Found::Right,
            _ if self.upsert => Found::Wrong,
            _ => Found::Right,
        };
        Some(Some((at, found)))
    }
}

/// What a resource has of a tag.
#[derive(Debug, Clone, Copy, Default)]
struct Has {
    /// One that stays.
    right: bool,
    /// One that is to go.
    wrong: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Right,
    Wrong,
}

/// A field that holds a message or text.
fn message(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(content.len() + 8);
    put_key(number, DELIMITED, &mut bytes);
    put_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

#[cfg(test)]
mod tests;
