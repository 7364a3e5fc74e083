//! A dead letter: its story, then the record as it lay in the queue.
//!
//! Version (1), length of the story (4), the story as JSON (read by people and tools too), then the
//! [`record`](super::record), header and body; nothing where the store lost the bytes.

use crate::queue::lease::Verdict;

const VERSION: u8 = 1;

/// What stands before the record's header and body. Clears `head`.
pub(in crate::queue) fn encode(verdict: &Verdict, head: &mut Vec<u8>) {
    head.clear();
    let story = serde_json::to_vec(verdict).unwrap_or_default();
    head.push(VERSION);
    head.extend((story.len() as u32).to_le_bytes());
    head.extend(story);
}
