//! Scenario: a backlog of 4 GiB is drained (512 MiB outside of a release run).
//! Guarantee: the space goes back to the file system meanwhile: at every tenth the directory takes at most the payload that
//! remains × 1.3 and 256 MiB.

use spillway::config::QueueSize;

use super::queues::{self, MIB, Place};

const BODY: usize = 128 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn space_comes_back_while_a_backlog_drains() {
    let count = if queues::release() { 4096 * MIB } else { 512 * MIB } / BODY as u64;
    let place = Place::new(|config| config.max_size = QueueSize::Bytes(8 << 30));
    queues::append(&place.queue, count, BODY, 32).await;
    let mut seen = vec![place.bytes()];
    queues::drain(&place.queue, count, |taken| {
        if taken * 10 >= count * seen.len() as u64 {
            seen.push(place.bytes());
        }
    })
    .await;
    eprintln!("MiB at each tenth: {:?}", seen.iter().map(|bytes| bytes / MIB).collect::<Vec<_>>());
    for (tenth, bytes) in seen.iter().enumerate().skip(1) {
        let remains = BODY as u64 * count * (10 - tenth as u64) / 10;
        let allowed = remains * 13 / 10 + 256 * MIB;
        assert!(*bytes <= allowed, "{tenth} tenths drained: {} MiB, {} allowed", bytes / MIB, allowed / MIB);
    }
}
