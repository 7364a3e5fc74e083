//! The house keeps its shape: who may import whom, where a crate may be named, how long a file may be.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod imports;
mod sizes;
mod sources;
