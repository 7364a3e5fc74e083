//! Warnings that somebody has to act on, few enough to be read: at most one of a kind in 30 s, with a count.

use super::refusal::Refusal;
use super::stats::Outcome;
use crate::repeats::Repeats;

/// Requests refused, by kind.
#[derive(Debug, Default)]
pub(super) struct Notices {
    malformed: Repeats,
    too_large: Repeats,
    unsupported: Repeats,
    unauthenticated: Repeats,
}

impl Notices {
    /// Says that a request was refused, where somebody has to change a client and it was not said just now.
    ///
    /// The text is ours: paths and offsets, never a value out of the body.
    pub(super) fn tell(&self, refusal: &Refusal) {
        tracing::debug!(%refusal, "request refused");
        let repeats = match refusal.outcome() {
            Outcome::Malformed => &self.malformed,
            Outcome::TooLarge => &self.too_large,
            Outcome::Unsupported => &self.unsupported,
            Outcome::Unauthenticated => &self.unauthenticated,
            _ => return,
        };
        if let Some(count) = repeats.count() {
            tracing::warn!(last = %refusal, count, "requests refused that their senders have to change");
        }
    }
}
