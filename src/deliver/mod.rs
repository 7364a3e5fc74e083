//! Delivery: chain, breaker, backoff, lanes and the loop that joins them.
//!
//! It leases from the queue, sends through targets, classifies what came back and settles. It never sees a client.

pub mod snapshot;
