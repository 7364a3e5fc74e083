//! The house keeps its shape: who may import whom, where a crate may be named, how long a file may be.

mod imports;
mod sizes;
mod sources;
