//! Scenario: many clients at once send gzip and zstd bodies of some hundred KiB that inflate to a quarter GiB; some lie about it, some say
//! nothing, and some ask for a window of 2 GiB.
//! Guarantee: each is refused, memory has room for one of them at a time, and honest clients get their OK.

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;
use zstd_safe::{CCtx, CParameter};

use crate::NOWHERE;
use crate::honest::{Honest, assert_bounded, memory};
use crate::support::client::{Client, Transport};
use crate::support::gateway::Home;

const CLIENTS: usize = 8;
const EACH: usize = 6;
const INFLATED: usize = 256 << 20;

fn bombs() -> Vec<(Encoding, Vec<u8>)> {
    let plain = vec![0; INFLATED];
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut lying = gzip.clone();
    let trailer = lying.len() - 4;
    lying[trailer..].copy_from_slice(&100_u32.to_le_bytes());
    let zstd = |stated| {
        let mut zstd = CCtx::create();
        zstd.set_parameter(CParameter::ContentSizeFlag(stated)).unwrap();
        let mut body = Vec::with_capacity(zstd_safe::compress_bound(INFLATED));
        zstd.compress2(&mut body, &plain).unwrap();
        body
    };
    let (stated, silent) = (zstd(true), zstd(false));
    let mut wide = silent.clone();
    wide[5] = (31 - 10) << 3; // RFC 8878, 3.1.1.1.2: the exponent of the window
    let zstd = [stated, silent, wide].map(|body| (Encoding::Zstd, body));
    [(Encoding::Gzip, gzip), (Encoding::Gzip, lying)].into_iter().chain(zstd).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_costs_one_largest_request() {
    let home = Home::new();
    let gateway = home.start(NOWHERE);
    let honest = Honest::start(&gateway).await;
    let (before, _) = memory(&gateway);
    let bombs = Arc::new(bombs());

    let clients = (0..CLIENTS).map(|client| {
        let (grpc, http) = (gateway.grpc, gateway.http);
        let bombs = Arc::clone(&bombs);
        tokio::spawn(async move {
            let (transport, door) = if client % 2 == 0 { (Transport::Grpc, grpc) } else { (Transport::Http, http) };
            let sender = Client::patient(transport, door, 60);
            for (encoding, body) in bombs.iter().cycle().skip(client).take(EACH) {
                let answer = sender.send_encoded(Signal::Logs, *encoding, body.clone(), INFLATED).await;
                assert!(!matches!(answer, Answer::Accepted { .. } | Answer::Broken { .. }), "{answer:?}");
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    honest.stop().await;
    let refused = |outcome: &str| {
        gateway.metric("spillway_received_requests_total", &[&format!("outcome=\"{outcome}\"")]) as usize
    };
    // Those whose turn did not come are told to come back.
    assert_eq!(refused("too_large") + refused("overloaded"), CLIENTS * EACH);
    assert!(refused("too_large") > 0);
    // Inflated to the limit of 64 MiB one at a time, and the buffer grows by doubling; the compressed bodies beside it.
    assert_bounded(&gateway, before, 256);
}
