//! The books of one signal: absolute numbers, written in the same WriteBatch as what they describe.

use serde::{Deserialize, Serialize};

/// Why undelivered data was removed. Every path that removes data names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// `when_full: drop_oldest` made room.
    QueueFull,
    /// Older than `max_age`.
    MaxAge,
    /// A person purged it.
    Purged,
    /// Power was lost before it was synced (`durability: interval`).
    LostUnsynced,
    /// The store was damaged.
    StoreDamage,
    /// A target answered with an endpoint error and `on_endpoint_error: drop`.
    EndpointError,
    /// A target refused it and `strict_otlp: true`.
    StrictOtlp,
}

impl DropReason {
    /// Every reason, in the order in which the ledger stores them: append only.
    pub const ALL: [DropReason; 7] = [
        DropReason::QueueFull,
        DropReason::MaxAge,
        DropReason::Purged,
        DropReason::LostUnsynced,
        DropReason::StoreDamage,
        DropReason::EndpointError,
        DropReason::StrictOtlp,
    ];

    /// The value of the `reason` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            DropReason::QueueFull => "queue_full",
            DropReason::MaxAge => "max_age",
            DropReason::Purged => "purged",
            DropReason::LostUnsynced => "lost_unsynced",
            DropReason::StoreDamage => "store_damage",
            DropReason::EndpointError => "endpoint_error",
            DropReason::StrictOtlp => "strict_otlp",
        }
    }
}

/// Why a batch was refused for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadReason {
    /// A target refused it while it took others (400, INVALID_ARGUMENT and the like).
    Refused,
    /// Too large for the target, and not to be split further.
    TooLarge,
    /// It failed again and again without a verdict while others succeeded.
    Suspect,
    /// Its stored bytes do not match their checksum.
    Corrupt,
    /// A target answered with an endpoint error and `on_endpoint_error: dead`.
    EndpointError,
    /// A point below the sequence at start that the target refused: it had it already.
    Redelivered,
}

impl DeadReason {
    /// Every reason: append only.
    pub const ALL: [DeadReason; 6] = [
        DeadReason::Refused,
        DeadReason::TooLarge,
        DeadReason::Suspect,
        DeadReason::Corrupt,
        DeadReason::EndpointError,
        DeadReason::Redelivered,
    ];

    /// The value of the `reason` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            DeadReason::Refused => "refused",
            DeadReason::TooLarge => "too_large",
            DeadReason::Suspect => "suspect",
            DeadReason::Corrupt => "corrupt",
            DeadReason::EndpointError => "endpoint_error",
            DeadReason::Redelivered => "redelivered",
        }
    }
}

/// The books of one signal, in items unless a field says otherwise.
///
/// `accepted + imported = queued + delivered + rejected + dead + dropped`, exactly, always ([`Ledger::imbalance`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Ledger {
    /// The next sequence number to give, from 1.
    pub next_seq: u64,
    /// Nothing live lies below this sequence number.
    pub low: u64,
    /// Answered OK at the doors.
    pub accepted: u64,
    /// Brought in by `replay`.
    pub imported: u64,
    /// Not settled yet, owed and parked included.
    pub queued: u64,
    /// Settled as delivered.
    pub delivered: u64,
    /// Refused by a target inside an accepted request (partial success).
    pub rejected: u64,
    /// Moved to the dead letters.
    pub dead: [u64; DeadReason::ALL.len()],
    /// Removed undelivered, by reason.
    pub dropped: [u64; DropReason::ALL.len()],
    /// Part of `queued`: taken by a fallback and owed to the primary.
    pub owed: u64,
    /// Records that are not settled yet.
    pub queued_batches: u64,
    /// Bytes of the bodies and headers of those records.
    pub queued_bytes: u64,
    /// Part of `queued`: suspects that lie out of the line.
    pub parked: u64,
    /// Records of those, part of `queued_batches`.
    pub parked_batches: u64,
    /// Bytes of those, part of `queued_bytes`.
    pub parked_bytes: u64,
    /// Part of `delivered`: taken by a fallback, owed to the primary, and given up for want of space or for its age.
    pub owed_released: u64,
}

impl Ledger {
    /// All items moved to the dead letters.
    pub fn dead_total(&self) -> u64 {
        self.dead.iter().sum()
    }

    /// All items removed undelivered.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// What came in minus what is accounted for: 0, or a bug.
    pub fn imbalance(&self) -> i128 {
        let came = i128::from(self.accepted) + i128::from(self.imported);
        let went = [self.queued, self.delivered, self.rejected, self.dead_total(), self.dropped_total()];
        came - went.into_iter().map(i128::from).sum::<i128>()
    }
}
