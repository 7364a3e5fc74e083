//! The keys on disk: the schema of the store.
//!
//! | family | key | value |
//! |---|---|---|
//! | `traces`, `metrics`, `logs` | [`Key`]: sequence, 8 bytes big-endian (+ 2 of a part) | [`record`](crate::queue::codec::record) |
//! | `index` | signal (1 byte), [`Key`] | [`twin`](crate::queue::codec::twin) |
//! | `index` | 16 + signal, [`Key`] of one that is parked | [`parked`](crate::queue::codec::parked) |
//! | `parked` | signal, [`Key`] | [`record`](crate::queue::codec::record) |
//! | `dead` | signal, [`Key`] | [`letter`](crate::queue::codec::letter) |
//! | `owed` | signal, first [`Key`] of an interval | its last [`Key`] |
//! | `meta` | `store`, `epoch`, `run`, `clock`, `dead`, `kept`, `books` + signal, `import` + token | [`meta`](crate::queue::codec::meta), [`books`](crate::queue::codec::books) |

use crate::batch::{Key, Signal};

/// A key with its signal in front.
#[derive(Clone, Copy)]
pub(in crate::queue) struct SignalKey {
    bytes: [u8; 11],
    len: usize,
}

impl AsRef<[u8]> for SignalKey {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// `key` of `signal`, as `index`, `dead`, `parked` and `owed` have it.
pub(in crate::queue) fn of(signal: Signal, key: Key) -> SignalKey {
    let tail = key.encode();
    let tail = tail.as_ref();
    let mut bytes = [0; 11];
    bytes[0] = signal.index() as u8;
    bytes[1..=tail.len()].copy_from_slice(tail);
    SignalKey { bytes, len: tail.len() + 1 }
}

/// `key` of `signal` in the index of what is parked, apart from what stands in line.
pub(in crate::queue) fn parked(signal: Signal, key: Key) -> SignalKey {
    let mut bytes = of(signal, key);
    bytes.bytes[0] += PARKED;
    bytes
}

/// The signal and the key in `bytes` that [`parked`] made.
pub(in crate::queue) fn parse_parked(bytes: &[u8]) -> Option<(Signal, Key)> {
    let (signal, key) = bytes.split_first()?;
    Some((*Signal::ALL.get(usize::from(signal.checked_sub(PARKED)?))?, Key::decode(key)?))
}

/// The signal and the key in `bytes`; `None` when they are not such a key.
pub(in crate::queue) fn parse(bytes: &[u8]) -> Option<(Signal, Key)> {
    let (signal, key) = bytes.split_first()?;
    Some((*Signal::ALL.get(usize::from(*signal))?, Key::decode(key)?))
}

/// The first key that can follow `key`, which is or was a live one: a batch that is whole has no parts beside it.
pub(in crate::queue) const fn after(key: Key) -> Key {
    match (key.part, key.part.checked_add(1)) {
        (0, _) | (_, None) => Key { seq: key.seq + 1, part: 0 },
        (_, Some(part)) => Key { seq: key.seq, part },
    }
}

const PARKED: u8 = 16;

/// Random id of the store.
pub(in crate::queue) const STORE: &[u8] = b"store";
/// How often it was opened.
pub(in crate::queue) const EPOCH: &[u8] = b"epoch";
/// How the process that has it open writes, or that it was closed.
pub(in crate::queue) const RUN: &[u8] = b"run";
/// The clocks, as they were read at an open, a close, and when the time of day was set.
pub(in crate::queue) const CLOCK: &[u8] = b"clock";
/// How many dead letters are held.
pub(in crate::queue) const DEAD: &[u8] = b"dead";
/// What delivery keeps over restarts; its own affair.
pub(in crate::queue) const KEPT: &[u8] = b"kept";

/// Key of what an import took so far: the last line, 8 bytes little-endian.
pub(in crate::queue) fn import(token: u64) -> [u8; 14] {
    let mut key = *b"import\0\0\0\0\0\0\0\0";
    key[6..].copy_from_slice(&token.to_le_bytes());
    key
}

/// Key of a signal's ledger.
pub(in crate::queue) fn books(signal: Signal) -> [u8; 6] {
    let mut key = *b"books\0";
    key[5] = signal.index() as u8;
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signal_keys_read_as_they_are_written_and_sort_by_signal_first() {
        let keys = [
            (Signal::Traces, Key::new(7)),
            (Signal::Traces, Key { seq: 7, part: 3 }),
            (Signal::Traces, Key::new(u64::MAX)),
            (Signal::Metrics, Key::new(1)),
            (Signal::Logs, Key::new(1)),
        ];
        for (signal, key) in keys {
            assert_eq!(parse(of(signal, key).as_ref()), Some((signal, key)));
        }
        for pair in keys.windows(2) {
            assert!(of(pair[0].0, pair[0].1).as_ref() < of(pair[1].0, pair[1].1).as_ref());
        }
        let parked = parked(Signal::Logs, keys[1].1);
        assert_eq!(parse_parked(parked.as_ref()), Some((Signal::Logs, keys[1].1)));
        assert_eq!((parse(parked.as_ref()), parse_parked(&[2; 9])), (None, None));
        assert_eq!(parse(b""), None);
        assert_eq!(parse(&[9; 9]), None);
    }

    #[test]
    fn nothing_lies_between_a_key_and_the_one_after_it() {
        assert_eq!(after(Key::new(4)), Key::new(5));
        assert_eq!(after(Key { seq: 4, part: 1 }), Key { seq: 4, part: 2 });
        assert_eq!(after(Key { seq: 4, part: u16::MAX }), Key::new(5));
    }

    #[test]
    fn each_signal_has_books_of_its_own() {
        assert_eq!(books(Signal::Traces), *b"books\0");
        assert_ne!(books(Signal::Traces), books(Signal::Logs));
    }
}
