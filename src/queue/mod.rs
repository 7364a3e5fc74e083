//! The write-ahead queue: a durable FIFO per signal on RocksDB.
//!
//! `receive` appends, `deliver` leases and settles; neither knows of the other. The queue knows no network, no retry, no
//! target type and no breaker.

pub mod lease;
pub mod ledger;
pub mod snapshot;
