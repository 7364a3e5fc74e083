//! Cuts a batch into batches, and joins batches into one, off the runtime's threads and one at a time: so memory has room for one
//! large request and its parts.
//!
//! What is inside a request is the business of `otlp`, where the parts go that of the queue.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::batch::{Batch, Encoding};
use crate::otlp::inflate::{Deflater, Inflater};
use crate::otlp::merge::merge;
use crate::otlp::split::{Part, split};

/// Plain bodies of so many bytes are copied at once: handing them to another thread takes as long.
const AT_ONCE: usize = 1 << 20;

/// See the module. One for all lines.
#[derive(Debug, Default)]
pub struct Knife {
    turn: Arc<Mutex<Tools>>,
}

/// Their buffers are kept between uses.
#[derive(Debug, Default)]
struct Tools {
    inflater: Inflater,
    deflater: Deflater,
}

impl Knife {
    /// Parts of a batch whose uncompressed bodies have at most `limit` bytes where possible, in the encoding of the whole; at most
    /// `most` of them. `None` when it cannot be cut, or its body cannot be read.
    pub async fn cut(&self, batch: &Batch, limit: usize, most: usize) -> Option<Vec<Batch>> {
        if batch.items < 2 || most < 2 {
            return None;
        }
        let batch = batch.clone();
        self.work(vec![batch], move |batches, tools| cut(batches.first()?, limit, most, tools)).await
    }

    /// One batch with the items of all, in their order: plain if all of them are, and compressed as `packing` says otherwise. The
    /// rest is as of the first. `None` when a body cannot be read.
    pub async fn join(&self, batches: Vec<Batch>, packing: Encoding) -> Option<Batch> {
        self.work(batches, move |batches, tools| join(batches, packing, tools)).await
    }

    async fn work<T: Send + 'static>(
        &self,
        batches: Vec<Batch>,
        work: impl FnOnce(&[Batch], &mut Tools) -> Option<T> + Send + 'static,
    ) -> Option<T> {
        let mut tools = self.turn.clone().lock_owned().await;
        let len: usize = batches.iter().map(|batch| batch.inflated_len as usize).sum();
        if len <= AT_ONCE && are_plain(&batches) {
            return work(&batches, &mut tools);
        }
        tokio::task::spawn_blocking(move || work(&batches, &mut tools)).await.ok()?
    }
}

fn are_plain(batches: &[Batch]) -> bool {
    batches.iter().all(|batch| batch.encoding == Encoding::Identity)
}

fn join(batches: &[Batch], packing: Encoding, Tools { inflater, deflater }: &mut Tools) -> Option<Batch> {
    let len = batches.iter().map(|batch| batch.inflated_len as usize).sum();
    let mut plain = Vec::with_capacity(len);
    for batch in batches {
        let body = inflater.inflate(batch.encoding, &batch.body, batch.inflated_len as usize).ok()?;
        merge(&mut plain, body.bytes);
    }
    let items = batches.iter().map(|batch| batch.items).sum();
    let inflated_len = u32::try_from(plain.len()).ok()?;
    let (encoding, body) = match are_plain(batches) {
        true => (Encoding::Identity, plain),
        false => (packing, deflater.compress(packing, &plain)),
    };
    Some(Batch { encoding, items, inflated_len, body: body.into(), ..batches.first()?.clone() })
}

fn cut(batch: &Batch, limit: usize, most: usize, Tools { inflater, deflater }: &mut Tools) -> Option<Vec<Batch>> {
    let len = batch.inflated_len as usize;
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
    parts.into_iter().map(|part| of(batch, part, deflater)).collect()
}

fn of(whole: &Batch, part: Part, deflater: &mut Deflater) -> Option<Batch> {
    let inflated_len = u32::try_from(part.bytes.len()).ok()?;
    let body = match whole.encoding {
        Encoding::Identity => part.bytes,
        encoding => deflater.compress(encoding, &part.bytes),
    };
    Some(Batch { items: part.items, inflated_len, body: body.into(), ..whole.clone() })
}
