//! What `--version` says: the release, the commit it was built from, and the RocksDB inside.

/// `spillway 0.1.0 (commit 1a2b3c4, RocksDB 11.8.1)`
pub(super) fn line() -> String {
    let commit = option_env!("SPILLWAY_COMMIT").unwrap_or("unknown");
    let rocksdb = std::str::from_utf8(&ROCKSDB).unwrap_or("unknown");
    format!("spillway {} (commit {commit}, RocksDB {rocksdb})", env!("CARGO_PKG_VERSION"))
}

// The lock file says which RocksDB is compiled in: `version = "0.19.0+11.8.1"`. It is read by the compiler, and only the few
// bytes of the version are kept.
const LOCK: &[u8] = include_bytes!("../../Cargo.lock");
const ROCKSDB_START: usize = {
    let package = after(LOCK, b"name = \"librocksdb-sys\"\nversion = \"", 0);
    after(LOCK, b"+", package)
};
const ROCKSDB_LEN: usize = after(LOCK, b"\"", ROCKSDB_START) - 1 - ROCKSDB_START;
static ROCKSDB: [u8; ROCKSDB_LEN] = {
    let mut version = [0; ROCKSDB_LEN];
    let mut position = 0;
    while position < ROCKSDB_LEN {
        version[position] = LOCK[ROCKSDB_START + position];
        position += 1;
    }
    version
};

/// Where the first `needle` at or after `from` ends; the compiler stops where there is none.
const fn after(text: &[u8], needle: &[u8], from: usize) -> usize {
    let mut start = from;
    loop {
        let mut matched = 0;
        while matched < needle.len() && text[start + matched] == needle[matched] {
            matched += 1;
        }
        if matched == needle.len() {
            return start + matched;
        }
        start += 1;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_names_rocksdb() {
        let line = super::line();
        let version = line.split("RocksDB ").nth(1).and_then(|rest| rest.strip_suffix(')')).unwrap();
        assert!(
            version.split('.').count() == 3 && version.split('.').all(|part| part.parse::<u32>().is_ok()),
            "{line}"
        );
    }
}
