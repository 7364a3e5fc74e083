//! The store on RocksDB. The only file that names it.

use std::ops::ControlFlow;
use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, CompactOptions, DB, DBAccess, DBCompactionStyle,
    DBCompressionType, DBRawIteratorWithThreadMode, DBRecoveryMode, ErrorKind, FlushOptions, LogLevel, Options,
    ReadOptions, Snapshot, UniversalCompactOptions, WriteBatch, WriteOptions,
};

use super::{Changes, Engine, Family, View, Visit};
use crate::queue::error::StoreError;
use crate::queue::memory::Budget;

/// A blob file dies once all records in it are settled, so it bounds what one held record pins.
const BLOB_FILE: u64 = 64 << 20;
/// Files that hold keys alone stay small, so that a compaction touches little.
const KEY_FILE: u64 = 8 << 20;
/// So many tables of keys are joined into one.
const JOINED: i32 = 8;
/// Memtables of a family: one is filled while others are flushed, and writes wait while all are. What is not yet settled when one ends
/// is written to a file, so fewer and larger ones spare the disk.
const MEMTABLES: u64 = 3;
/// Logs that wait to be written over, at most: more than ever are in use, so that none is removed and those that are there follow
/// one another. A handful in fact, since there is one a memtable.
const OLD_LOGS: usize = 16;

/// An open RocksDB.
pub(in crate::queue) struct Rocks {
    db: DB,
}

impl Rocks {
    /// Opens the store in `path`, or makes one. Replays the write-ahead log: what was written is there again.
    pub(in crate::queue) fn open(path: &Path, budget: &Budget) -> Result<Rocks, StoreError> {
        let cache = Cache::new_lru_cache(bytes(budget.blocks));
        let families = Family::ALL
            .map(|family| ColumnFamilyDescriptor::new(family.name(), family_options(family, budget, &cache)));
        Ok(Rocks { db: DB::open_cf_descriptors(&database_options(budget), path, families)? })
    }

    fn family(&self, family: Family) -> &ColumnFamily {
        self.db.cf_handle(family.name()).expect("every family is opened with the store")
    }
}

fn database_options(budget: &Budget) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // What is acknowledged was synced, so a cut at the first bad record loses nothing of it.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_manual_wal_flush(false); // each write reaches the kernel: kill -9 loses none
    // A group that failed may be in the log all the same, and after an ENOSPC RocksDB flushes by itself what is in memory. One
    // family at a time, a close or a kill in between would leave a store that replays half of that group.
    options.set_atomic_flush(true);
    options.set_enable_pipelined_write(false);
    options.set_unordered_write(false);
    // A sync of what is written over bytes of the file needs neither new blocks nor a commit of the file system's journal.
    options.set_recycle_log_file_num(OLD_LOGS);
    options.set_max_total_wal_size(budget.wal);
    // All families together end what they fill at 7/8 of this, or at a half of it while a flush is behind; so three stay within it twice.
    options.set_db_write_buffer_size(bytes(budget.memtables / 2));
    options.set_max_background_jobs(2);
    options.set_max_open_files(512);
    options.set_skip_stats_update_on_db_open(true); // or opening takes as long as there are files
    options.set_advise_random_on_open(false); // a backlog is read in order: let the kernel read ahead
    options.set_bytes_per_sync(1 << 20); // flushes trickle to disk instead of stalling the next fsync
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(4 << 20);
    options.set_keep_log_file_num(2);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

fn family_options(family: Family, budget: &Budget, cache: &Cache) -> Options {
    let mut options = Options::default();
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_format_version(6);
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::None); // bodies come compressed, keys are few
    options.set_write_buffer_size(bytes(budget.memtables / MEMTABLES));
    options.set_max_write_buffer_number(MEMTABLES as i32);
    options.set_target_file_size_base(KEY_FILE);
    options.set_level_zero_file_num_compaction_trigger(2);
    // A file of many deletions is compacted soon: that is what frees blob files.
    options.add_compact_on_deletion_collector_factory(128, 64, 0.5);
    if let Family::Records(_) | Family::Index = family {
        join_tables(&mut options);
    }
    match family {
        Family::Records(_) => with_blobs(&mut options),
        Family::Dead | Family::Parked => {
            with_blobs(&mut options);
            options.set_enable_blob_gc(true); // what lies here may lie long, beside what goes soon
        }
        Family::Index | Family::Owed | Family::Meta => {}
    }
    options
}

/// Each flush adds a small table of keys, and those of a backlog do not overlap: by levels they would be moved down and never joined,
/// and each change of the store's list of files goes over all of them.
fn join_tables(options: &mut Options) {
    options.set_compaction_style(DBCompactionStyle::Universal);
    options.set_level_zero_file_num_compaction_trigger(JOINED);
    let mut universal = UniversalCompactOptions::default();
    universal.set_min_merge_width(JOINED);
    universal.set_max_size_amplification_percent(400);
    options.set_universal_compaction_options(&universal);
}

fn bytes(share: u64) -> usize {
    usize::try_from(share).unwrap_or(usize::MAX)
}

fn with_blobs(options: &mut Options) {
    options.set_enable_blob_files(true);
    options.set_min_blob_size(0); // each flushed record can be salvaged from a blob file alone
    options.set_blob_file_size(BLOB_FILE);
    options.set_blob_compression_type(DBCompressionType::None);
}

pub(super) fn read_options() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.fill_cache(false); // each record is read about once
    options
}

pub(super) fn walk_options(from: &[u8], to: &[u8]) -> ReadOptions {
    let mut options = read_options();
    options.set_iterate_lower_bound(from);
    options.set_iterate_upper_bound(to);
    options
}

pub(super) fn walk<D: DBAccess>(
    mut iterator: DBRawIteratorWithThreadMode<'_, D>,
    visit: &mut Visit<'_>,
) -> Result<(), StoreError> {
    iterator.seek_to_first();
    while let Some((key, value)) = iterator.item() {
        if visit(key, value) == ControlFlow::Break(()) {
            return Ok(());
        }
        iterator.next();
    }
    Ok(iterator.status()?)
}

impl View for Rocks {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.db.get_cf_opt(self.family(family), key, &read_options())?)
    }

    fn walk(&self, family: Family, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        walk(self.db.raw_iterator_cf_opt(self.family(family), walk_options(from, to)), visit)
    }
}

struct Instant<'r> {
    rocks: &'r Rocks,
    snapshot: Snapshot<'r>,
}

impl View for Instant<'_> {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.snapshot.get_cf_opt(self.rocks.family(family), key, read_options())?)
    }

    fn walk(&self, family: Family, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        walk(self.snapshot.raw_iterator_cf_opt(self.rocks.family(family), walk_options(from, to)), visit)
    }
}

struct RocksChanges<'r> {
    rocks: &'r Rocks,
    batch: WriteBatch,
    joined: Vec<u8>,
}

impl Changes for RocksChanges<'_> {
    fn put(&mut self, family: Family, key: &[u8], head: &[u8], body: &[u8]) {
        let family = self.rocks.family(family);
        if body.is_empty() {
            return self.batch.put_cf(family, key, head);
        }
        self.joined.clear();
        self.joined.reserve(head.len() + body.len());
        self.joined.extend_from_slice(head);
        self.joined.extend_from_slice(body);
        self.batch.put_cf(family, key, &self.joined);
    }

    fn take(&mut self, family: Family, key: &[u8]) {
        self.batch.single_delete_cf(self.rocks.family(family), key);
    }

    /// A range may go over keys that are or were single-deleted: what RocksDB forbids for those is an ordinary delete or a
    /// second put, and each key lives once.
    fn take_range(&mut self, family: Family, from: &[u8], to: &[u8]) {
        self.batch.delete_range_cf(self.rocks.family(family), from, to);
    }

    fn set(&mut self, family: Family, key: &[u8], value: &[u8]) {
        self.batch.put_cf(self.rocks.family(family), key, value);
    }

    fn delete(&mut self, family: Family, key: &[u8]) {
        self.batch.delete_cf(self.rocks.family(family), key);
    }

    fn commit(self: Box<Self>, sync: bool) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        Ok(self.rocks.db.write_opt(self.batch, &options)?)
    }
}

impl Engine for Rocks {
    fn begin(&self, bytes: usize) -> Box<dyn Changes + '_> {
        Box::new(RocksChanges { rocks: self, batch: WriteBatch::with_capacity_bytes(bytes), joined: Vec::new() })
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(self.db.flush_wal(true)?)
    }

    fn view(&self) -> Box<dyn View + '_> {
        Box::new(Instant { rocks: self, snapshot: self.db.snapshot() })
    }

    fn reclaim(&self, family: Family, from: &[u8], to: &[u8]) -> Result<(), StoreError> {
        // All families together: one that keeps unflushed changes keeps the write-ahead log.
        let families = Family::ALL.map(|family| self.family(family));
        self.db.flush_cfs_opt(&families, &FlushOptions::default())?;
        let mut compaction = CompactOptions::default();
        compaction.set_exclusive_manual_compaction(false);
        // The index is small, and compacts by itself.
        self.db.compact_range_cf_opt(self.family(family), Some(from), Some(to), &compaction);
        Ok(())
    }
}

/// What RocksDB says of a blob that is not what was written while the rest of its file may be (`db/blob/blob_file_reader.cc`).
const ONE_BLOB: [&str; 5] = [
    "Blob CRC mismatch",
    "Error while decoding blob record",
    "Key size mismatch when reading blob",
    "Value size mismatch when reading blob",
    "Key mismatch when reading blob",
];

impl From<rocksdb::Error> for StoreError {
    fn from(error: rocksdb::Error) -> StoreError {
        let kind = error.kind();
        let text = error.into_string();
        let says = |words: &[&str]| words.iter().any(|words| text.contains(words));
        match kind {
            ErrorKind::Corruption if says(&ONE_BLOB) => StoreError::corrupt(text),
            ErrorKind::IOError if says(&["No such file"]) && says(&[".blob"]) => StoreError::corrupt(text),
            ErrorKind::Corruption => StoreError::damaged(text),
            ErrorKind::IOError if says(&["No such file"]) => StoreError::damaged(text),
            _ => StoreError::failed(text),
        }
    }
}
