//! What the OpenTelemetry protocol says, as pure functions: no I/O, no clock, no state.
//!
//! Source: OTLP specification 1.11.0 and opentelemetry-proto.

pub mod answer;
