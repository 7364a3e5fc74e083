//! A dead letter: its story, then the record as it lay in the queue.
//!
//! Version (1), length of the story (4), the story as JSON (read by people and tools too), then the
//! [`record`](super::record), header and body; nothing where the store lost the bytes.

use serde::{Deserialize, Serialize};

use super::{Garbled, Reader};
use crate::queue::lease::Verdict;
use crate::queue::ledger::DeadReason;

const VERSION: u8 = 1;

/// Why a batch lies here, and what it was counted as when it came: the books are kept in these figures also where the
/// bytes cannot be read any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::queue) struct Story {
    /// Who condemned it and why.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Items that it was booked with; `None` in a letter of a release that did not write them.
    pub items: Option<u64>,
    /// Bytes that it was booked with.
    pub weight: Option<u64>,
    /// When it was condemned, on the queue's clock; `None` in a letter of a release that did not write it.
    #[serde(default)]
    pub aged_from_ms: Option<u64>,
}

impl Story {
    pub(in crate::queue) fn of(verdict: &Verdict, items: u64, weight: u64, aged_from_ms: u64) -> Story {
        let (items, weight, aged_from_ms) = (Some(items), Some(weight), Some(aged_from_ms));
        Story { verdict: verdict.clone(), items, weight, aged_from_ms }
    }

    /// What is told of a batch that the store damaged, by itself or by what it says of it.
    pub(in crate::queue) fn lost(why: &str, at_ms: u64, items: Option<u64>, weight: Option<u64>) -> Story {
        let (target, status, message) = (String::new(), String::new(), why.to_owned());
        let verdict = Verdict {
            reason: DeadReason::Corrupt,
            target,
            status,
            message,
            attempts: 0,
            first_ms: at_ms,
            last_ms: at_ms,
        };
        Story { verdict, items, weight, aged_from_ms: None }
    }
}

/// What stands before the record's header and body. Clears `head`.
pub(in crate::queue) fn encode(story: &Story, head: &mut Vec<u8>) {
    head.clear();
    let story = serde_json::to_vec(story).unwrap_or_default();
    head.push(VERSION);
    head.extend((story.len() as u32).to_le_bytes());
    head.extend(story);
}

/// The story of a letter, and the bytes behind it, which are a record unless the store damaged them.
pub(in crate::queue) fn decode(letter: &[u8]) -> Result<(Story, &[u8]), Garbled> {
    let mut reader = Reader(letter);
    if reader.u8()? != VERSION {
        return Err(Garbled("the dead letter is of an unknown version"));
    }
    let len = reader.u32()? as usize;
    let story = serde_json::from_slice(reader.take(len)?).map_err(|_| Garbled("the story means nothing"))?;
    Ok((story, reader.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict() -> Verdict {
        Verdict {
            reason: DeadReason::Refused,
            target: "hub".to_owned(),
            status: "HTTP 400".to_owned(),
            message: "no".to_owned(),
            attempts: 3,
            first_ms: 1,
            last_ms: 2,
        }
    }

    #[test]
    fn a_letter_reads_as_it_was_written() {
        let (story, mut letter) = (Story::of(&verdict(), 7, 99, 5), Vec::new());
        encode(&story, &mut letter);
        letter.extend(b"record");
        assert_eq!(decode(&letter), Ok((story, &b"record"[..])));
        for len in 0..letter.len() - b"record".len() {
            assert!(decode(&letter[..len]).is_err(), "cut at {len}");
        }
    }

    /// Scenario: a letter of the first release, whose story was the verdict alone. Guarantee: it reads.
    #[test]
    fn a_letter_without_figures_reads() {
        let old = serde_json::to_vec(&verdict()).unwrap();
        let mut letter = vec![1];
        letter.extend((old.len() as u32).to_le_bytes());
        letter.extend(old);
        assert_eq!(
            decode(&letter),
            Ok((Story { verdict: verdict(), items: None, weight: None, aged_from_ms: None }, &[][..]))
        );
    }
}
