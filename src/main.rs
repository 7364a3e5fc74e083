#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
fn main() {
    let db = rocksdb::DB::open_default("/tmp/rdbtest").expect("x");
    db.put(b"a", b"b").expect("x");
    assert!(db.get(b"a").expect("x").is_some());
}
