//! The messages of OTLP as one table: what a walk over the wire needs to know, and what JSON needs to know.
//!
//! `skim` checks bytes against it, `json` translates by it. It knows no bytes and no text, only names, numbers and kinds.
//!
//! Source: opentelemetry-proto 1.10, `opentelemetry/proto/**.proto`.

mod messages;

use super::wire;
use crate::batch::Signal;

/// How deep messages may nest below the request (prost's recursion limit).
pub(super) const MAX_DEPTH: u32 = 100;

/// A message type.
#[derive(Debug)]
pub(super) struct Message {
    /// Its fields, in the order of their numbers.
    pub(super) fields: &'static [Field],
    /// What a key below 256 announces: the shortcut through `fields` that makes the walk fast.
    pub(super) steps: [Step; 0x100],
}

/// A field of a message type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) number: u32,
    /// As in the `.proto` file. JSON writes it in lowerCamelCase.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) rule: Rule,
    /// What the walk notes of it, where that is more than kind and rule say.
    pub(super) noted: Option<Op>,
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    String,
    Bytes,
    /// A trace or span id: bytes, in JSON of exactly this many and in hexadecimal.
    Id(usize),
    Bool,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Fixed32,
    Fixed64,
    Sfixed64,
    Double,
    /// A number that has names, and the way from a name to its number.
    Enum(fn(&str) -> Option<i32>),
    Message(&'static Message),
}

/// How often a field may occur, and what an absent one means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Absent is the same as zero or empty; of several the last one holds.
    Single,
    /// Absent differs from zero; of several the last one holds.
    Optional,
    /// One member of the message's only `oneof`: it displaces any other member.
    Member,
    /// Any number.
    Repeated,
    /// At most one, a value of any type.
    Value,
    /// Any number, and each is a key-value pair: the bulk of most requests.
    Attributes,
    /// Any number, and each is an item of its signal: a span, a data point, a log record.
    Items,
}

/// What to do with the bytes behind a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) op: Op,
    /// Index in [`Message::fields`].
    pub(super) field: u8,
}

/// How to read one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// No field of this message in its proper wire type.
    Stray,
    Varint,
    Four,
    Eight,
    Text,
    Bytes,
    PackedVarints,
    PackedEights,
    Message,
    /// A message that is a key-value pair.
    Attribute,
    /// A message that is a value of any type.
    Value,
    /// A message that counts.
    Item,
    /// A member of a `oneof` that holds items.
    Choice,
    /// A message of spans and whose they are.
    Origin,
    /// An item that is a span, its kind, and the id of its parent.
    Span,
    SpanKind,
    Parent,
}

/// The `Export*ServiceRequest` of a signal.
pub(super) const fn request(signal: Signal) -> &'static Message {
    match signal {
        Signal::Traces => &messages::EXPORT_TRACES,
        Signal::Metrics => &messages::EXPORT_METRICS,
        Signal::Logs => &messages::EXPORT_LOGS,
    }
}

impl Message {
    const fn new(fields: &'static [Field]) -> Message {
        let mut steps = [Step { op: Op::Stray, field: 0 }; 0x100];
        let mut at = 0;
        while at < fields.len() {
            let field = &fields[at];
            let mut wire = 0;
            while wire <= wire::FOUR {
                let key = (field.number << 3 | wire) as usize;
                let op = field.op(wire);
                if key < steps.len() && !matches!(op, Op::Stray) {
                    steps[key] = Step { op, field: at as u8 };
                }
                wire += 1;
            }
            at += 1;
        }
        Message { fields, steps }
    }

    /// The step for any key, also one that takes more than a byte.
    pub(super) fn step(&self, number: u32, wire: u32) -> Step {
        match self.fields.iter().position(|field| field.number == number) {
            Some(at) => Step { op: self.fields[at].op(wire), field: at as u8 },
            None => Step { op: Op::Stray, field: 0 },
        }
    }
}

impl Field {
    /// How a value of this field is read when it comes in that wire type.
    const fn op(&self, wire: u32) -> Op {
        if let Some(op) = self.noted
            && wire == self.kind.wire()
        {
            return op;
        }
        match (self.kind.wire(), self.kind, self.rule) {
            (wire::VARINT, _, Rule::Repeated) if wire == wire::DELIMITED => Op::PackedVarints,
            (wire::EIGHT, _, Rule::Repeated) if wire == wire::DELIMITED => Op::PackedEights,
            (proper, ..) if proper != wire => Op::Stray,
            (wire::VARINT, ..) => Op::Varint,
            (wire::EIGHT, ..) => Op::Eight,
            (wire::FOUR, ..) => Op::Four,
            (_, Kind::String, _) => Op::Text,
            (_, Kind::Message(_), Rule::Items) => Op::Item,
            (_, Kind::Message(_), Rule::Member) => Op::Choice,
            (_, Kind::Message(_), Rule::Attributes) => Op::Attribute,
            (_, Kind::Message(_), Rule::Value) => Op::Value,
            (_, Kind::Message(_), _) => Op::Message,
            _ => Op::Bytes,
        }
    }

    /// Whether JSON calls it that: in lowerCamelCase.
    pub(super) fn is_called(&self, json_name: &str) -> bool {
        camel_case(self.name).eq(json_name.bytes())
    }

    pub(super) const fn repeats(&self) -> bool {
        matches!(self.rule, Rule::Repeated | Rule::Attributes | Rule::Items)
    }
}

/// `time_unix_nano` as `timeUnixNano`. Names in the schema are ASCII.
pub(super) fn camel_case(name: &str) -> impl Iterator<Item = u8> {
    let mut raise = false;
    name.bytes().filter_map(move |byte| {
        let raised = std::mem::replace(&mut raise, byte == b'_');
        match byte {
            b'_' => None,
            _ if raised => Some(byte.to_ascii_uppercase()),
            _ => Some(byte),
        }
    })
}

impl Kind {
    /// The wire type of a single value.
    pub(super) const fn wire(self) -> u32 {
        match self {
            Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Sint32 | Kind::Enum(_) => {
                wire::VARINT
            }
            Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => wire::EIGHT,
            Kind::Fixed32 => wire::FOUR,
            Kind::String | Kind::Bytes | Kind::Id(_) | Kind::Message(_) => wire::DELIMITED,
        }
    }
}
