//! RocksDB's log format: what its write-ahead logs and its MANIFEST are made of, read and written without RocksDB.
//!
//! Blocks of 32 KiB hold fragments; a record is one fragment or a first, middle ones and a last. A fragment is a header of
//! masked CRC32C (4 bytes, over type and content), length (2) and type (1), then its content; a block's last bytes are
//! padding when no header fits (`db/log_format.h` of RocksDB 11.8).
//!
//! Unlike RocksDB's reader, which gives up the rest of a block at the first bad checksum, this one goes on where the bad
//! fragment says that it ends, if a good one begins there: one flipped bit costs one record. It knows nothing of what
//! records mean.
//!
//! A log may be written over an older one, so that its syncs need no new blocks. Its fragments then carry its number, and what
//! lies behind the last of them is what the older log left: no damage, unless more of its own follows.

use std::io::{self, Read, Write};

const BLOCK: usize = 32 << 10;
const HEADER: usize = 7;
/// A header of a recycled log has the log's number, too.
const RECYCLED_HEADER: usize = 11;

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// What a reader comes upon.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A record whose checksums hold.
    Record(Vec<u8>),
    /// Bytes that are part of no record: damage, or the torn end of what was being written.
    Bad {
        /// Where they begin.
        offset: u64,
        /// How many they are.
        bytes: u64,
    },
    /// Records that are compressed: written by a store of other options, and not to be read here.
    Foreign,
}

/// Reads entries off a log; ends at the end of the file, or after an error of the disk.
pub(super) struct LogReader<R> {
    source: R,
    /// The lower half of the log's number.
    number: u32,
    /// Whether its fragments carry that number.
    numbered: bool,
    /// Where bytes begin that an older log may have left: nothing whole of this one was behind them so far.
    leftover: Option<u64>,
    /// Whether something of this log is broken off there.
    torn: bool,
    block: Vec<u8>,
    /// Where the block begins in the file, and how far it was read.
    start: u64,
    at: usize,
    /// Fragments of a record so far, and where its first one begins.
    record: Option<(u64, Vec<u8>)>,
    ended: bool,
}

/// A fragment, by its place in the block.
enum Fragment {
    Good {
        kind: u8,
        content: std::ops::Range<usize>,
    },
    /// Its end, as far as that can be told, and whether it says that it is of this log.
    Bad {
        end: usize,
        own: bool,
    },
    /// Of the log that this one is written over; its end.
    Older(usize),
}

impl<R: Read> LogReader<R> {
    /// Of the log of that number.
    pub(super) fn new(source: R, number: u64) -> LogReader<R> {
        LogReader {
            source,
            number: number as u32,
            numbered: false,
            leftover: None,
            torn: false,
            block: Vec::new(),
            start: 0,
            at: 0,
            record: None,
            ended: false,
        }
    }

    /// Where the log ends although its file goes on with what an older log left; to be asked once everything was read.
    pub(super) fn leftover(&self) -> Option<u64> {
        self.leftover
    }

    /// The next block; `false` at the end of the file.
    fn fill(&mut self) -> io::Result<bool> {
        self.start += self.block.len() as u64;
        self.at = 0;
        self.block.clear();
        (&mut self.source).take(BLOCK as u64).read_to_end(&mut self.block)?;
        Ok(!self.block.is_empty())
    }

    fn fragment(&self) -> Fragment {
        let block = &self.block[self.at..];
        if block.len() < HEADER {
            return Fragment::Bad { end: self.block.len(), own: !self.numbered }; // of the last block: a full one is left before
        }
        let kind = block[6];
        let length = usize::from(u16::from_le_bytes([block[4], block[5]]));
        let (header, own) = match is_recycled(kind) {
            true => (RECYCLED_HEADER, block.get(HEADER..RECYCLED_HEADER) == Some(&self.number.to_le_bytes())),
            false => (HEADER, !self.numbered),
        };
        let end = header + length;
        if (kind == 0 && length == 0) || end > block.len() {
            return Fragment::Bad { end: self.block.len(), own };
        }
        let stored = u32::from_le_bytes([block[0], block[1], block[2], block[3]]);
        match unmask(stored) == crc32c::crc32c(&block[6..end]) {
            true if own => Fragment::Good { kind, content: self.at + header..self.at + end },
            true if is_recycled(kind) => Fragment::Older(self.at + end),
            _ => Fragment::Bad { end: self.at + end, own },
        }
    }

    /// Whether a good fragment begins at a place of the block.
    fn is_good_at(&mut self, at: usize) -> bool {
        let here = std::mem::replace(&mut self.at, at);
        let good = matches!(self.fragment(), Fragment::Good { .. });
        self.at = here;
        good
    }

    /// A fragment's worth of progress; `Some` when something is to be said.
    fn step(&mut self) -> io::Result<Option<Entry>> {
        let header = if self.numbered { RECYCLED_HEADER } else { HEADER };
        if (self.block.len() == BLOCK && BLOCK - self.at < header) || self.at == self.block.len() {
            if self.fill()? {
                return Ok(None);
            }
            self.ended = true;
            let end = self.start + self.block.len() as u64;
            if let Some((from, _)) = self.record.take() {
                self.leftover.get_or_insert(from);
                self.torn = true;
            }
            return Ok(self.leftover.filter(|_| self.torn).map(|from| bad(from, end)));
        }
        let offset = self.start + self.at as u64;
        match self.fragment() {
            Fragment::Good { .. } if let Some(from) = self.leftover.take() => {
                self.torn = false;
                Ok(Some(bad(from, offset))) // it should have been of this log, too
            }
            Fragment::Bad { end, own } => Ok(self.pass(offset, end, own)),
            Fragment::Older(end) => {
                self.numbered = true;
                Ok(self.pass(offset, end, false))
            }
            Fragment::Good { kind, content } => {
                self.numbered |= is_recycled(kind);
                self.at = content.end;
                Ok(self.take(kind, offset, content))
            }
        }
    }

    /// Passes over a fragment that is not good, with the record that it breaks off.
    fn pass(&mut self, offset: u64, end: usize, own: bool) -> Option<Entry> {
        self.numbered |= own && self.block.get(self.at + HEADER - 1).is_some_and(|kind| is_recycled(*kind));
        self.at = if self.is_good_at(end) { end } else { self.block.len() };
        let begun = self.record.take().map(|(from, _)| from);
        let from = begun.unwrap_or(offset);
        if !self.numbered {
            return Some(bad(from, self.start + self.at as u64));
        }
        self.leftover.get_or_insert(from);
        self.torn |= own || begun.is_some();
        None
    }

    fn take(&mut self, kind: u8, offset: u64, content: std::ops::Range<usize>) -> Option<Entry> {
        let end = self.start + content.end as u64;
        let content = &self.block[content];
        let kind = if matches!(kind, 5..=8) { kind - 4 } else { kind };
        match (kind, self.record.take()) {
            (FULL, None) => Some(Entry::Record(content.to_vec())),
            (FIRST, None) => {
                self.record = Some((offset, content.to_vec()));
                None
            }
            (FULL | FIRST, Some((from, _))) => {
                self.at = (offset - self.start) as usize; // it is read again, by itself
                Some(bad(from, offset))
            }
            (MIDDLE, Some((from, mut record))) => {
                record.extend_from_slice(content);
                self.record = Some((from, record));
                None
            }
            (LAST, Some((_, mut record))) => {
                record.extend_from_slice(content);
                Some(Entry::Record(record))
            }
            (9, _) => {
                self.ended = true;
                Some(Entry::Foreign)
            }
            // Sizes of timestamps, a word about the log before this one, and whatever a reader may ignore.
            (10 | 11 | 128.., record) => {
                self.record = record;
                None
            }
            _ => Some(bad(offset, end)), // the rest of a record whose beginning is gone, or of no known type
        }
    }
}

impl<R: Read> Iterator for LogReader<R> {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<io::Result<Entry>> {
        while !self.ended {
            match self.step() {
                Ok(None) => {}
                Ok(Some(entry)) => return Some(Ok(entry)),
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

fn bad(from: u64, to: u64) -> Entry {
    Entry::Bad { offset: from, bytes: to - from }
}

const fn is_recycled(kind: u8) -> bool {
    matches!(kind, 5..=8 | 11 | 131)
}

/// Checksums are masked, since what they cover may contain checksums (`util/crc32c.h`).
const MASK: u32 = 0xa282_ead8;

pub(super) const fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(MASK)
}

pub(super) const fn unmask(masked: u32) -> u32 {
    masked.wrapping_sub(MASK).rotate_left(15)
}

/// Writes records as RocksDB does.
pub(super) struct LogWriter<W> {
    sink: W,
    at: usize,
}

impl<W: Write> LogWriter<W> {
    pub(super) fn new(sink: W) -> LogWriter<W> {
        LogWriter { sink, at: 0 }
    }

    /// Adds a record.
    pub(super) fn write(&mut self, record: &[u8]) -> io::Result<()> {
        let (mut rest, mut first) = (record, true);
        loop {
            let room = BLOCK - self.at;
            if room < HEADER {
                self.sink.write_all(&[0; HEADER][..room])?;
                self.at = 0;
                continue;
            }
            let (fragment, after) = rest.split_at(rest.len().min(room - HEADER));
            let kind = match (first, after.is_empty()) {
                (true, true) => FULL,
                (true, false) => FIRST,
                (false, false) => MIDDLE,
                (false, true) => LAST,
            };
            let crc = crc32c::crc32c_append(crc32c::crc32c(&[kind]), fragment);
            self.sink.write_all(&mask(crc).to_le_bytes())?;
            self.sink.write_all(&(fragment.len() as u16).to_le_bytes())?;
            self.sink.write_all(&[kind])?;
            self.sink.write_all(fragment)?;
            self.at = (self.at + HEADER + fragment.len()) % BLOCK;
            (rest, first) = (after, false);
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// What it wrote into.
    pub(super) fn into_inner(self) -> W {
        self.sink
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(records: &[Vec<u8>]) -> Vec<u8> {
        let mut writer = LogWriter::new(Vec::new());
        for record in records {
            writer.write(record).unwrap();
        }
        writer.into_inner()
    }

    /// As RocksDB writes logs that are to be written over.
    fn numbered(records: &[Vec<u8>], number: u32) -> Vec<u8> {
        let mut log = Vec::new();
        for record in records {
            let mut rest = record.as_slice();
            let mut first = true;
            while first || !rest.is_empty() {
                let room = BLOCK - log.len() % BLOCK;
                if room < RECYCLED_HEADER {
                    log.resize(log.len() + room, 0);
                    continue;
                }
                let (fragment, after) = rest.split_at(rest.len().min(room - RECYCLED_HEADER));
                let kind = [[7, 8], [6, 5]][usize::from(first)][usize::from(after.is_empty())];
                let covered = [&[kind], number.to_le_bytes().as_slice(), fragment].concat();
                log.extend(mask(crc32c::crc32c(&covered)).to_le_bytes());
                log.extend((fragment.len() as u16).to_le_bytes());
                log.extend(covered);
                (rest, first) = (after, false);
            }
        }
        log
    }

    /// A log of number 9 over one of number 7.
    fn over(newer: &[u8], older: &[u8]) -> Vec<u8> {
        [newer, older.get(newer.len()..).unwrap_or_default()].concat()
    }

    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, u64) {
        let (records, lost, _) = read_to(bytes);
        (records, lost)
    }

    fn read_to(bytes: &[u8]) -> (Vec<Vec<u8>>, u64, Option<u64>) {
        let (mut records, mut lost) = (Vec::new(), 0);
        let mut reader = LogReader::new(bytes, 9);
        for entry in &mut reader {
            match entry.unwrap() {
                Entry::Record(record) => records.push(record),
                Entry::Bad { bytes, .. } => lost += bytes,
                Entry::Foreign => break,
            }
        }
        (records, lost, reader.leftover())
    }

    fn record(len: usize, fill: u8) -> Vec<u8> {
        vec![fill | 1; len]
    }

    /// Scenario: records that end at, just before and just behind the edge of a block. Guarantee: all read as written.
    #[test]
    fn records_read_as_they_were_written_at_each_edge_of_a_block() {
        for len in BLOCK - 20..BLOCK + 20 {
            let records = [record(len, 1), record(3, 2), record(3 * BLOCK, 3), record(0, 4)];
            assert_eq!(read(&written(&records)), (records.to_vec(), 0), "{len}");
        }
    }

    /// Scenario: a bit is flipped in the middle of a block of many records. Guarantee: it costs that record alone; a zeroed
    /// sector costs what lies in it and in the rest of its block.
    #[test]
    fn damage_costs_what_it_touched() {
        let records: Vec<_> = (0..2000).map(|number| record(200, number as u8)).collect();
        let whole = written(&records);
        let mut flipped = whole.clone();
        flipped[40_000 + 100] ^= 4;
        let (left, lost) = read(&flipped);
        assert_eq!(left.len(), 1999);
        assert!((200..=400).contains(&lost), "{lost}");
        let mut zeroed = whole;
        zeroed[40_960..45_056].fill(0);
        let left = read(&zeroed).0.len();
        assert!((1840..1980).contains(&left), "{left}");
    }

    /// Scenario: records that say something of the log, or that a reader may ignore. Guarantee: they are no damage.
    #[test]
    fn what_is_not_data_is_not_damage() {
        for kind in [10, 130, 200] {
            let mut bytes = written(&[record(9, 1)]);
            let content = [kind, 1, 2, 3];
            bytes.extend(mask(crc32c::crc32c(&content)).to_le_bytes());
            bytes.extend([3, 0]);
            bytes.extend(content);
            assert_eq!(read(&bytes), (vec![record(9, 1)], 0), "{kind}");
        }
    }

    /// Scenario: a log over an older one, with damage in the middle of it. Guarantee: it costs the record that it hit, the rest is
    /// read, and the end is told from what the older log left.
    #[test]
    fn damage_in_a_log_over_an_older_one_is_told_from_its_end() {
        let records: Vec<_> = (0..300).map(|number| record(200, number as u8)).collect();
        let newer = numbered(&records, 9);
        let mut log = over(&newer, &numbered(&vec![record(777, 3); 200], 7));
        log[30_000] ^= 4;
        let (left, lost, end) = read_to(&log);
        assert_eq!((left.len(), end), (299, Some(newer.len() as u64)));
        assert!((200..=500).contains(&lost), "{lost}");
        log[30_000] ^= 4;
        log[8192..12_288].copy_from_slice(&numbered(&vec![record(777, 3); 200], 7)[8192..12_288]); // a page that was never written
        let (left, lost, end) = read_to(&log);
        assert!((130..290).contains(&left.len()) && lost > 4000, "{} {lost}", left.len());
        assert_eq!(end, Some(newer.len() as u64));
    }

    proptest! {
        /// Scenario: a log over an older one, cut anywhere by a kill. Guarantee: its whole records before the cut are read, nothing
        /// of the older one, and nothing is called bad but a record that was broken off.
        #[test]
        fn a_log_over_an_older_one_ends_where_it_was_cut(
            lens in prop::collection::vec(0usize..50_000, 1..8), old in prop::collection::vec(0usize..50_000, 1..12), cut in 0.0f64..=1.0,
        ) {
            let of = |lens: &[usize]| lens.iter().enumerate().map(|(fill, len)| record(*len, fill as u8 * 2)).collect::<Vec<_>>();
            let (records, older) = (of(&lens), numbered(&of(&old), 7));
            let newer = numbered(&records, 9);
            let cut = (newer.len() as f64 * cut) as usize;
            let log = over(&newer[..cut], &older);
            let (left, lost, end) = read_to(&log);
            prop_assert_eq!(&left[..], &records[..left.len()]);
            let whole = numbered(&left, 9).len();
            prop_assert!(left.len() == records.len() || numbered(&records[..=left.len()], 9).len() > cut);
            prop_assert!(lost == 0 || whole < cut, "{lost}");
            // A log whose very first head is broken off is not known to be numbered before its second block.
            let ends = [whole..whole + RECYCLED_HEADER, BLOCK..BLOCK + usize::from(cut < RECYCLED_HEADER)];
            prop_assert!(end.is_none_or(|end| ends.iter().any(|ends| ends.contains(&(end as usize)))), "{end:?} {whole}");
        }

        #[test]
        fn arbitrary_bytes_are_read_to_their_end(bytes in prop::collection::vec(any::<u8>(), 0..100_000)) {
            read(&bytes);
        }

        /// Scenario: a log is cut anywhere. Guarantee: the whole records before the cut are read, and nothing else.
        #[test]
        fn a_cut_leaves_what_lies_before_it(lens in prop::collection::vec(0usize..50_000, 1..12), cut in 0.0f64..1.0) {
            let records: Vec<_> = lens.iter().enumerate().map(|(fill, len)| record(*len, fill as u8 * 2)).collect();
            let bytes = written(&records);
            let cut = (bytes.len() as f64 * cut) as usize;
            let (left, lost) = read(&bytes[..cut]);
            prop_assert_eq!(&left[..], &records[..left.len()]);
            prop_assert!(lost <= cut as u64);
        }

        /// Scenario: any bytes of a log are overwritten. Guarantee: what is read was written, in that order.
        #[test]
        fn nothing_is_made_up(
            lens in prop::collection::vec(1usize..20_000, 1..12), at in 0.0f64..1.0, with in prop::collection::vec(any::<u8>(), 1..600),
        ) {
            let records: Vec<_> = lens.iter().enumerate().map(|(fill, len)| record(*len, fill as u8 * 2)).collect();
            let mut bytes = written(&records);
            let at = (bytes.len() as f64 * at) as usize;
            let end = bytes.len().min(at + with.len());
            bytes[at..end].copy_from_slice(&with[..end - at]);
            let mut expected = records.iter();
            for record in read(&bytes).0 {
                prop_assert!(expected.any(|written| *written == record));
            }
        }
    }
}
