//! OTLP/JSON, in and out, straight between text and protobuf bytes along the schema.
//!
//! The serde implementations of the generated types refuse or silently lose what the specification allows (a double
//! written `"NaN"`, `null`, an enum's name, and with it the whole metric around), so the translation is
//! our own. Neither direction builds a message in memory.
//!
//! Source: OTLP specification, "JSON Protobuf Encoding"; the protobuf documentation, "ProtoJSON Format".

mod read;
mod write;

pub use read::from_json;
pub use write::write_json_line;

#[cfg(test)]
mod tests;
