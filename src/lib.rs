//! spillway: a failover-aware, durable export gateway for OpenTelemetry.
//!
//! # The journey of a batch
//!
//! ```text
//!  receive                     queue                                deliver                      target
//!  ───────                     ─────                                ───────                      ──────
//!  accept → authenticate       append ── group commit, fsync ──┐    lease ← chain picks target   send bytes as stored
//!    → admit (bytes, disk)       ▲                             │      → breaker admits           → Answer
//!    → inspect (skim)     ───────┘        reply OK  ◄──────────┘      → target.send(batch)  ◄────  classify
//!                                                                     → settle: delivered | owed | retry | dead
//! ```
//!
//! [`receive`] and [`deliver`] meet nowhere but in the [`queue`]. [`app`] is the only place that knows every part.
//!
//! | module | what lives there |
//! |---|---|
//! | [`batch`], [`units`], [`tally`], [`repeats`] | the words every part shares; they import nothing of ours |
//! | [`files`] | what is read from files that others change: certificates, keys, tokens |
//! | [`config`] | one typed section per part, loading, validation with line and column |
//! | [`otlp`] | what the protocol says: pure functions without I/O |
//! | [`receive`] | the doors: gRPC, HTTP, TLS, credentials, admission |
//! | [`queue`] | the write-ahead queue on RocksDB: append, lease, settle |
//! | [`deliver`] | chain, breaker, backoff, lanes, the delivery loop |
//! | [`target`] | where batches go: gRPC, HTTP, file; health probes |
//! | [`observe`] | metrics, status, admin HTTP |
//! | [`page`] | the files of the page that the admin port shows |
//! | [`cli`] | one file a command |

pub mod app;
pub mod batch;
pub mod cli;
pub mod config;
pub mod deliver;
pub mod files;
#[cfg(test)]
mod fuzzed;
pub mod observe;
pub mod otlp;
pub mod page;
pub mod queue;
pub mod receive;
pub mod repeats;
pub mod tally;
pub mod target;
pub mod units;
