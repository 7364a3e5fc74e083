//! What the tests of the whole gateway share.

pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod hub;
pub(crate) mod items;
pub(crate) mod wait;
