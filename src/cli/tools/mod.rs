//! What `queue`, `dead` and `drain` share: the way to a queue, filters, pages, files of lines, questions, progress.

pub(super) mod confirm;
pub(super) mod failure;
pub(super) mod filter;
pub(super) mod human;
pub(super) mod line;
pub(super) mod lines;
pub(super) mod pages;
pub(super) mod place;
pub(super) mod progress;
pub(super) mod way;
