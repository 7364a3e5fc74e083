//! Dead letters: what is written when a batch is condemned.

use bytes::Bytes;

use super::codec::{letter, record};
use super::inbox::How;
use super::lanes::Stored;
use super::lease::Verdict;
use super::ledger::DeadReason;

/// A batch that a target condemned.
pub(super) fn condemned(verdict: &Verdict, stored: &Stored) -> How {
    let mut head = Vec::new();
    letter::encode(verdict, &mut head);
    let mut record_head = Vec::new();
    record::encode(&stored.batch, stored.epoch, crc32c::crc32c(&stored.batch.body), &mut record_head);
    head.extend(record_head);
    How::Dead { reason: verdict.reason, head, body: stored.batch.body.clone() }
}

/// A record that is not what was written; `bytes` are what lies there.
pub(super) fn corrupt(why: &str, bytes: Bytes) -> How {
    let now = super::clock::now_ms();
    let verdict = Verdict {
        reason: DeadReason::Corrupt,
        target: String::new(),
        status: String::new(),
        message: why.to_owned(),
        attempts: 0,
        first_ms: now,
        last_ms: now,
    };
    let mut head = Vec::new();
    letter::encode(&verdict, &mut head);
    How::Dead { reason: DeadReason::Corrupt, head, body: bytes }
}
