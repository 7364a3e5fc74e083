//! The doors: OTLP over gRPC and HTTP, admission, inspection, and OK once the queue has it.
//!
//! It never sees delivery or a target.

pub mod snapshot;
