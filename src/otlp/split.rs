//! Cuts an export request into parts that are export requests themselves: by resource, then scope, then item.
//!
//! It splices wire bytes and decodes nothing. Every field of a request, resource, scope or metric that holds no items is a header
//! of what it encloses, and goes out with each part that has something of it. That includes fields the schema does not know: one
//! that describes its container must hold for all of its items, and should it hold data after all, a repeat is the smaller harm in
//! a gateway that delivers at least once. What holds no item (a resource without scopes, a metric of a kind of the future) stays
//! whole and goes out once. It knows neither compression nor who asks for smaller requests.

use super::fields::Fields;
use super::skim::skim;
use super::wire::{self, put_key, put_varint};
use crate::batch::Signal;

/// One part: a request of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The uncompressed `Export*ServiceRequest`.
    pub bytes: Vec<u8>,
    /// Spans, data points or log records inside.
    pub items: u32,
}

/// Key and length around a message: one byte, and at most five.
const AROUND: usize = 6;

/// A part ends only where the headers that the next one has to repeat weigh at most this many times the items of the part and the
/// item that begins the next. Each item counts twice at most, so that all parts together weigh at most five times the request, also
/// where a huge resource holds thousands of tiny items.
const HEADERS_PER_ITEMS: usize = 2;

/// Cuts `body`, an uncompressed `Export*ServiceRequest` of `signal`, into parts of at most `limit` bytes.
///
/// The items of the parts, one part after the other, are the items of the request. Each part has at least one item, if the request
/// has one. A part may exceed the limit when it holds a single item, or when its headers fill most of it; a request that can be cut
/// no further comes back as one part. `None` when the bytes are no such request.
pub fn split(signal: Signal, body: &[u8], limit: usize) -> Option<Vec<Part>> {
    let mut cutter = Cutter { levels: levels(signal), limit, open: Vec::new(), parts: Vec::new(), items: 0, held: 0 };
    if !cutter.enter(0, body, 0)? {
        return Some(vec![Part { bytes: body.to_vec(), items: 0 }]);
    }
    cutter.cut();
    Some(cutter.parts)
}

/// The way to the items: at each level the numbers of the fields that lead on; those of the last are the items.
const fn levels(signal: Signal) -> &'static [&'static [u32]] {
    match signal {
        Signal::Traces | Signal::Logs => &[&[1], &[2], &[2]],
        Signal::Metrics => &[&[1], &[2], &[2], DATA, &[1]],
    }
}

/// The kinds of a metric's data. They exclude each other (`oneof`).
const DATA: &[u32] = &[5, 7, 9, 10, 11];

struct Cutter {
    levels: &'static [&'static [u32]],
    limit: usize,
    /// The messages around the next item, the request first.
    open: Vec<Open>,
    parts: Vec<Part>,
    /// Items of the part in the making, and the bytes they take.
    items: u32,
    held: usize,
}

/// A message that is being taken apart.
struct Open {
    number: u32,
    /// Its fields that lead to no item, as they came.
    header: Vec<u8>,
    /// What the part in the making has of the others.
    inside: Vec<u8>,
}

impl Cutter {
    /// Takes a message apart. `false`, and nothing done, when it has to stay whole. Recurses once a level.
    fn enter(&mut self, number: u32, message: &[u8], level: usize) -> Option<bool> {
        let leads_on = self.levels[level];
        let (mut header, mut children) = (Vec::new(), 0_usize);
        for field in Fields(message) {
            let field = field?;
            match leads_on.contains(&field.number) {
                true => children += 1,
                false => header.extend_from_slice(field.whole),
            }
        }
        // Several members of a `oneof` displace one another, and which one holds is not decided here.
        if children == 0 || (leads_on == DATA && children > 1) {
            return Some(false);
        }
        self.open.push(Open { number, header, inside: Vec::new() });
        for field in Fields(message) {
            let field = field?;
            if !leads_on.contains(&field.number) {
                continue;
            }
            let inner = field.message()?;
            if level + 1 == self.levels.len() {
                self.add(field.whole, 1);
            } else if !self.enter(field.number, inner, level + 1)? {
                self.add(field.whole, kept_whole(leads_on, level, field.whole)?);
            }
        }
        if let Some(done) = self.open.pop_if(|_| level > 0).and_then(Open::wrapped)
            && let Some(parent) = self.open.last_mut()
        {
            parent.inside.extend(done);
        }
        Some(true)
    }

    /// Adds what is cut no further, to the part in the making or to a new one.
    fn add(&mut self, field: &[u8], items: u32) {
        let headers: usize = self.open.iter().map(|open| open.header.len() + AROUND).sum();
        let inside: usize = self.open.iter().map(|open| open.inside.len()).sum();
        let full = headers + inside + field.len() > self.limit;
        if full && self.items > 0 && items > 0 && (self.held + field.len()) * HEADERS_PER_ITEMS >= headers {
            self.cut();
        }
        if let Some(innermost) = self.open.last_mut() {
            innermost.inside.extend_from_slice(field);
        }
        self.items += items;
        self.held += field.len();
    }

    /// Ends the part in the making; whatever is open goes on in the next.
    fn cut(&mut self) {
        let mut inner = None;
        for open in self.open.iter_mut().rev() {
            open.inside.extend(inner.unwrap_or_default());
            let next = Open { number: open.number, header: open.header.clone(), inside: Vec::new() };
            inner = std::mem::replace(open, next).wrapped();
        }
        self.parts.extend(inner.map(|bytes| Part { bytes, items: self.items }));
        (self.items, self.held) = (0, 0);
    }
}

impl Open {
    /// The field with what this part has of it; `None` when it has nothing. The request itself is no field.
    fn wrapped(self) -> Option<Vec<u8>> {
        if self.inside.is_empty() {
            return None;
        }
        let len = self.header.len() + self.inside.len();
        let mut bytes = Vec::with_capacity(AROUND + len);
        if self.number > 0 {
            put_key(self.number, wire::DELIMITED, &mut bytes);
            put_varint(len as u64, &mut bytes);
        }
        bytes.extend(self.header);
        bytes.extend(self.inside);
        Some(bytes)
    }
}

/// Items of a field that stays whole: a message without any, or a metric whose data came in several kinds.
fn kept_whole(leads_on: &[u32], level: usize, metric: &[u8]) -> Option<u32> {
    if level != 2 || leads_on == DATA {
        return Some(0);
    }
    let mut request = metric.to_vec();
    for number in [2, 1] {
        wire::put_length_before(0, &mut request);
        let mut key = Vec::new();
        put_key(number, wire::DELIMITED, &mut key);
        request.splice(0..0, key);
    }
    skim(Signal::Metrics, &request).ok().map(|found| found.items)
}

#[cfg(test)]
mod tests;
