//! How leases end: what delivery says of a batch becomes what the committing thread writes.

use tokio::time::Instant;

use super::codec::parked::Parked;
use super::codec::record;
use super::codec::twin::Twin;
use super::inbox::{End, How};
use super::lanes::{Fate, Stored};
use super::lease::{Lease, Settlement, Verdict};
use super::{AFTER_FAILURE, Queue, letters, parts};
use crate::batch::{Batch, Key};

impl Queue {
    /// Ends a lease. Never blocks: it is written by the committing thread within 100 ms or 64 settles, synced within 1 s.
    ///
    /// A settlement that the lease does not allow (a split into parts that are not the whole, or for which there is no room;
    /// a parked batch that is to be owed, split or parked) is logged as an error, and the batch returned for 5 s.
    pub fn settle(&self, lease: Lease, how: Settlement) {
        if let Some(end) = end_of(lease, how) {
            self.shared.inbox.end([end]);
        }
    }

    /// Ends leases that belong together: all that is written of them is written as one set of changes, unless more is written anew
    /// (condemned, parked, split) than a group holds.
    pub fn settle_all(&self, leases: impl IntoIterator<Item = (Lease, Settlement)>) {
        let ends: Vec<End> = leases.into_iter().filter_map(|(lease, how)| end_of(lease, how)).collect();
        self.shared.inbox.end(ends);
    }
}

/// What is to be written; `None` when nothing is, since the batch went back.
fn end_of(mut lease: Lease, how: Settlement) -> Option<End> {
    let how = match how {
        Settlement::Return { hold } => {
            let not_before = Some(hold).filter(|hold| !hold.is_zero()).map(|hold| Instant::now() + hold);
            lease.ticket.give_back(not_before);
            return None;
        }
        Settlement::Owed | Settlement::Split(_) | Settlement::Park(_) if lease.parked => {
            return refuse(lease, "a parked batch is delivered, condemned, dropped or returned");
        }
        Settlement::Delivered { rejected } => How::Delivered { rejected },
        Settlement::Owed => How::Owed,
        Settlement::Dropped(reason) => How::Dropped(reason),
        Settlement::Dead(verdict) => letters::condemned(&verdict, &stored(&lease), lease.ticket.shared.clock.now_ms()),
        Settlement::Park(story) => park(&lease, story),
        Settlement::Split(parts) => match split(lease.id.key, &lease.batch, parts) {
            Ok(how) => how,
            Err(why) => return refuse(lease, why),
        },
    };
    let ticket = &mut lease.ticket;
    ticket.spent = true;
    let (signal, key, number) = (ticket.signal, ticket.key, ticket.number);
    if let Some(pass) = &ticket.pass {
        pass.settled(signal, key);
    }
    if how.fate() != Fate::Goes {
        ticket.shared.lanes(signal).ended_as(key, number, how.fate());
    }
    let hold = if how.bytes() > 0 { ticket.hold.take() } else { None };
    Some(End { signal, key, number, how, _hold: hold })
}

fn refuse(mut lease: Lease, why: &str) -> Option<End> {
    tracing::error!(batch = %lease.id, why, "a settlement is refused, the batch goes back");
    lease.ticket.give_back(Some(Instant::now() + AFTER_FAILURE));
    None
}

fn stored(lease: &Lease) -> Stored {
    Stored { key: lease.ticket.key, epoch: lease.ticket.epoch, batch: lease.batch.clone() }
}

fn split(key: Key, whole: &Batch, batches: Vec<Batch>) -> Result<How, &'static str> {
    let keys = parts::split(key, batches.len()).ok_or("there is no room for so many parts, or nothing to be split")?;
    let items: u64 = batches.iter().map(|part| u64::from(part.items)).sum();
    if items != u64::from(whole.items) || batches.iter().any(|part| part.items == 0 || part.signal != whole.signal) {
        return Err("the parts are not the whole");
    }
    let part = |(key, batch): (Key, Batch)| {
        let crc = crc32c::crc32c(&batch.body);
        (key, batch, crc)
    };
    Ok(How::Split(keys.into_iter().zip(batches).map(part).collect()))
}

/// A suspect, and its story.
pub(super) fn park(lease: &Lease, story: Verdict) -> How {
    let (batch, crc) = (&lease.batch, crc32c::crc32c(&lease.batch.body));
    let mut head = Vec::new();
    record::encode(batch, lease.ticket.epoch, crc, &mut head);
    let entry = Parked { twin: Twin::of(batch, crc, batch.received_at_ms), owed: lease.owed, story };
    How::Park { head, body: batch.body.clone(), entry }
}
