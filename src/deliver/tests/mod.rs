//! Delivery as a whole: the real queue, scripted targets, paused time.

mod ends;
mod failover;
mod load;
mod order;
mod partition;
mod refusals;
pub(super) mod scripted;
mod stage;
