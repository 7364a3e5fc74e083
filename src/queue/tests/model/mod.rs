//! Random lives of a queue, against a plain model of it: on RocksDB and on the store in memory side by side, which must show
//! the same, and on the store in memory alone through losses of power.

mod life;
mod plain;

use proptest::prelude::*;

use self::life::{Life, Seen};
use crate::config::Durability;
use crate::queue::{Lane, Taker};

/// What happens to a queue.
#[derive(Debug, Clone)]
enum Op {
    Append {
        signal: usize,
        items: u32,
        len: usize,
    },
    Lease {
        signal: usize,
        lane: Lane,
        taker: Taker,
    },
    LeaseParked {
        signal: usize,
        taker: Taker,
    },
    /// What is in memory is late from now on.
    Age {
        signal: usize,
    },
    Settle {
        which: usize,
        way: Way,
    },
    /// Several leases end together.
    SettleAll {
        ways: Vec<Way>,
    },
    /// Everything below one of the batches is removed.
    Drop {
        signal: usize,
        which: usize,
    },
    Check,
    Reopen,
    /// The process is killed right after so many settles were handed in.
    Kill {
        settles: usize,
    },
    /// Power is lost; on RocksDB the process is killed.
    PowerLoss {
        seed: u64,
        settles: usize,
    },
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Delivered,
    Rejected,
    Dead,
    Dropped,
    Owed,
    Return,
    /// The lease is dropped.
    Forget,
    Split(usize),
    Park,
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![
        6 => Just(Way::Delivered),
        1 => Just(Way::Rejected),
        1 => Just(Way::Dead),
        1 => Just(Way::Dropped),
        4 => Just(Way::Owed),
        2 => Just(Way::Return),
        1 => Just(Way::Forget),
        4 => (2usize..5).prop_map(Way::Split),
        2 => Just(Way::Park),
    ]
}

/// `power`: how often power is lost, beside what else happens.
fn op(power: u32) -> impl Strategy<Value = Op> {
    let taker = || prop_oneof![3 => Just(Taker::Primary), 2 => Just(Taker::Fallback)];
    let lane = prop_oneof![Just(Lane::Fresh), Just(Lane::Backlog)];
    let len = prop_oneof![6 => 0usize..100, 1 => 50_000usize..400_000];
    prop_oneof![
        60 => (0usize..2, 1u32..6, len).prop_map(|(signal, items, len)| Op::Append { signal, items, len }),
        60 => (0usize..2, lane, taker()).prop_map(|(signal, lane, taker)| Op::Lease { signal, lane, taker }),
        6 => (0usize..2, taker()).prop_map(|(signal, taker)| Op::LeaseParked { signal, taker }),
        56 => (0usize..40, way()).prop_map(|(which, way)| Op::Settle { which, way }),
        6 => prop::collection::vec(way(), 1..5).prop_map(|ways| Op::SettleAll { ways }),
        2 => (0usize..2, 0usize..40).prop_map(|(signal, which)| Op::Drop { signal, which }),
        10 => prop_oneof![2 => Just(Op::Check), 3 => (0usize..2).prop_map(|signal| Op::Age { signal })],
        3 => Just(Op::Reopen),
        4 => (0usize..3).prop_map(|settles| Op::Kill { settles }),
        power => (any::<u64>(), 0usize..3).prop_map(|(seed, settles)| Op::PowerLoss { seed, settles }),
    ]
}

fn durability() -> impl Strategy<Value = Durability> {
    prop_oneof![2 => Just(Durability::Fsync), 1 => Just(Durability::Interval), 1 => Just(Durability::Os)]
}

/// Cases where `PROPTEST_CASES` does not say how many.
fn config(cases: u32) -> ProptestConfig {
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { cases };
    ProptestConfig { cases, max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() }
}

fn run(life: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(life);
}

proptest! {
    #![proptest_config(config(256))]

    /// Scenario: any sequence of appends, leases for either taker, settles of each kind (splits and parking too, alone and
    /// together), drops, restarts and kills, on both stores. Guarantee: `settled-once`, `books-balance`, `owed-is-paid`, the order
    /// of a FIFO, no key and no name twice, nothing twice but what was leased at a kill; and both stores show the same.
    #[test]
    fn both_stores_do_what_the_model_does(ops in prop::collection::vec(op(0), 1..120), durability in durability()) {
        run(async {
            let (mut rocks, mut memory) = (Life::on_rocksdb(durability), Life::in_memory(durability));
            let mut alike = true;
            for op in ops {
                let (on_rocks, in_memory) = (rocks.step(&op).await, memory.step(&op).await);
                // What was handed in just before a kill is written or not: their ways may part.
                alike &= on_rocks != Seen::Unsure && in_memory != Seen::Unsure;
                assert!(!alike || on_rocks == in_memory, "{op:?}: {on_rocks:?} on RocksDB, {in_memory:?} in memory");
            }
            rocks.drain().await;
            memory.drain().await;
        });
    }
}

proptest! {
    #![proptest_config(config(256))]

    /// Scenario: the same and losses of power, each of which cuts what was not synced anywhere. Guarantee: the same; with
    /// `durability: fsync` nothing acknowledged is lost; what is left is what the queue was at one moment since the last sync.
    #[test]
    fn a_loss_of_power_leaves_a_queue_of_one_moment(ops in prop::collection::vec(op(8), 1..120), durability in durability()) {
        run(async {
            let mut life = Life::in_memory(durability);
            for op in ops {
                life.step(&op).await;
            }
            life.drain().await;
        });
    }
}
