//! Arguments → configuration → runtime → gateway → exit code. Nothing else.

// RocksDB grows without end on glibc's malloc.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    spillway::cli::main()
}
