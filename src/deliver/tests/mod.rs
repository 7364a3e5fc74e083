//! Delivery as a whole: the real queue, scripted targets, paused time.

mod by_hand;
mod capacity;
mod change;
mod ends;
mod failover;
mod load;
mod merge;
mod order;
mod partition;
mod refusals;
mod requests;
pub(super) mod scripted;
mod simulation;
mod sizes;
mod stage;
mod suspects;
mod takeover;
