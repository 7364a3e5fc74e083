//! Cuts a batch into batches, off the runtime's threads and one at a time: so memory has room for one large request and its parts.
//!
//! What is inside a request is the business of `otlp`, where the parts go that of the queue.

use tokio::sync::Semaphore;

use crate::batch::{Batch, Encoding};
use crate::otlp::inflate::{Deflater, Inflater};
use crate::otlp::split::{Part, split};

/// See the module. One for all lines.
#[derive(Debug)]
pub struct Knife {
    turn: Semaphore,
}

impl Default for Knife {
    fn default() -> Knife {
        Knife { turn: Semaphore::new(1) }
    }
}

impl Knife {
    /// Parts of a batch whose uncompressed bodies have at most `limit` bytes where possible, in the encoding of the whole; at most
    /// `most` of them. `None` when it cannot be cut, or its body cannot be read.
    pub async fn cut(&self, batch: &Batch, limit: usize, most: usize) -> Option<Vec<Batch>> {
        if batch.items < 2 || most < 2 {
            return None;
        }
        let _turn = self.turn.acquire().await.ok()?;
        let batch = batch.clone();
        tokio::task::spawn_blocking(move || cut(&batch, limit, most)).await.ok()?
    }
}

fn cut(batch: &Batch, limit: usize, most: usize) -> Option<Vec<Batch>> {
    let len = batch.inflated_len as usize;
    let mut inflater = Inflater::new();
    let plain = inflater.inflate(batch.encoding, &batch.body, len).ok()?.bytes;
    let mut limit = limit.max(len / most); // fewer parts than there may be, in most cases at once
    let mut parts = split(batch.signal, plain, limit)?;
    while parts.len() > most {
        limit = limit.saturating_mul(2);
        parts = split(batch.signal, plain, limit)?;
    }
    if parts.len() < 2 {
        return None;
    }
    let mut deflater = Deflater::new();
    parts.into_iter().map(|part| of(batch, part, &mut deflater)).collect()
}

fn of(whole: &Batch, part: Part, deflater: &mut Deflater) -> Option<Batch> {
    let inflated_len = u32::try_from(part.bytes.len()).ok()?;
    let body = match whole.encoding {
        Encoding::Identity => part.bytes,
        Encoding::Gzip => deflater.gzip(&part.bytes),
    };
    Some(Batch { items: part.items, inflated_len, body: body.into(), ..whole.clone() })
}
