//! What the OpenTelemetry protocol says, as pure functions: no I/O, no clock, no state.
//!
//! | module | what it answers |
//! |---|---|
//! | [`inflate`] | what is inside a compressed body, within a limit |
//! | [`skim`] | whether protobuf bytes are a well-formed export request, and how many items it holds |
//! | [`split`], [`merge`] | the same request in parts, and several as one |
//! | [`origin`] | from which clusters the spans of a request come |
//! | [`tag`] | the same request with attributes at every resource |
//! | [`json`] | the same request as OTLP/JSON, both ways |
//! | [`malformed`] | what is wrong with a request, and where, in a sentence for its sender |
//! | [`answer`], [`class`] | what a target answered, and what that means for the batch |
//! | [`hint`] | how long a server wants to be left alone |
//! | [`status`], [`response`], [`media`] | bodies of answers, sent and received, in protobuf and JSON |
//! | [`values`] | attributes and times of what the gateway says of itself |
//!
//! Source: OTLP specification 1.11.0 and opentelemetry-proto.

pub mod answer;
pub mod class;
mod fields;
pub mod hint;
pub mod inflate;
pub mod json;
pub mod malformed;
pub mod media;
pub mod merge;
pub mod origin;
pub mod response;
#[cfg(test)]
mod samples;
mod schema;
pub mod skim;
pub mod split;
pub mod status;
pub mod tag;
pub mod values;
mod wire;
