//! What is shown: a reading, and what earlier readings add to it.

use super::books::Audit;
use super::sources::Reading;
use super::trend::Outlook;

/// What metrics and status are made of.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// The snapshots.
    pub(super) reading: Reading,
    /// Where the queue is heading.
    pub(super) outlook: Outlook,
    /// What the last recount said.
    pub(super) audit: Audit,
}
