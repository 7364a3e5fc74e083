//! The queue by its promises, on a real RocksDB in a temporary directory.

mod along;
mod careful;
mod damage;
mod faults;
mod letters;
mod mended;
mod model;
mod order;
mod out;
mod owed;
mod park;
mod promises;
mod recycled;
mod removal;
mod restart;
mod space;
mod split;
pub(super) mod support;
mod tools;
mod trim;
mod unsynced;

pub(super) use support::batch;
