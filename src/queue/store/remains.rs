//! What RocksDB can still tell of a store that it cannot open for writing: keys, and small values beside them.
//!
//! Nothing is written into such a store but by a repair, and that is done on links to its tables.

use std::fs;
use std::path::Path;

use rocksdb::{DB, Options};

use super::rocks::{read_options, walk, walk_options};
use super::{Family, View, Visit};
use crate::queue::error::StoreError;

/// A damaged store, opened to be read.
pub(in crate::queue) struct Remains {
    db: DB,
}

impl Remains {
    /// The store in `path` as its MANIFEST describes it. Write-ahead logs are to be out of the way: they would be replayed.
    pub(in crate::queue) fn open(path: &Path) -> Result<Remains, StoreError> {
        let options = Options::default();
        let families = DB::list_cf(&options, path)?;
        Ok(Remains { db: DB::open_cf_for_read_only(&options, path, families, false)? })
    }

    /// The tables of the store in `path` that can be read, each as far as it goes, whether they were still in use or not.
    /// `links` is made anew for it.
    pub(in crate::queue) fn repaired(path: &Path, links: &Path) -> Result<Remains, StoreError> {
        let linked = (|| {
            if links.exists() {
                fs::remove_dir_all(links)?;
            }
            fs::create_dir(links)?;
            for entry in fs::read_dir(path)? {
                let table = entry?.path();
                if let (Some("sst"), Some(name)) =
                    (table.extension().and_then(|ending| ending.to_str()), table.file_name())
                {
                    fs::hard_link(&table, links.join(name))?;
                }
            }
            Ok(())
        })();
        linked.map_err(|error: std::io::Error| StoreError::failed(error.to_string()))?;
        DB::repair(&Options::default(), links)?;
        Remains::open(links)
    }
}

impl View for Remains {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.db.cf_handle(family.name()) {
            Some(handle) => Ok(self.db.get_cf_opt(handle, key, &read_options())?),
            None => Ok(None),
        }
    }

    fn walk(&self, family: Family, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        match self.db.cf_handle(family.name()) {
            Some(handle) => walk(self.db.raw_iterator_cf_opt(handle, walk_options(from, to)), visit),
            None => Ok(()),
        }
    }
}
