//! Dead letters and suspects: what is written when a batch is condemned.

use bytes::Bytes;

use super::codec::letter::{self, Story};
use super::codec::record;
use super::inbox::How;
use super::lanes::{Held, Stored};
use super::lease::Verdict;
use super::ledger::DeadReason;

/// A batch that a target condemned.
pub(super) fn condemned(verdict: &Verdict, stored: &Stored, now_ms: u64) -> How {
    let Stored { batch, epoch, .. } = stored;
    let mut head = Vec::new();
    letter::encode(&Story::of(verdict, u64::from(batch.items), batch.weight() as u64, now_ms), &mut head);
    let mut record_head = Vec::new();
    record::encode(batch, *epoch, crc32c::crc32c(&batch.body), &mut record_head);
    head.extend(record_head);
    How::Dead { reason: verdict.reason, head, body: batch.body.clone() }
}

/// A record that is not what was written; `bytes` are what lies there, `held` is what the index says of it.
pub(super) fn corrupt(why: &str, bytes: Bytes, held: &Held) -> How {
    let mut head = Vec::new();
    let story = Story::lost(why, super::clock::now_ms(), Some(u64::from(held.items)), Some(held.weight));
    letter::encode(&story, &mut head);
    How::Dead { reason: DeadReason::Corrupt, head, body: bytes }
}

/// The story of a batch that was on its way in so many ends of the process. The target is the queue itself.
pub(super) fn fatal(ends: u8) -> Verdict {
    let now_ms = super::clock::now_ms();
    Verdict {
        reason: DeadReason::Suspect,
        target: String::new(),
        status: "the process ended".to_owned(),
        message: format!("{ends} times while this batch was on its way, alone"),
        attempts: u32::from(ends),
        first_ms: now_ms,
        last_ms: now_ms,
    }
}
