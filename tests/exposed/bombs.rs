//! Scenario: many clients at once send bodies of some hundred KiB that inflate to a quarter GiB, some of them lying about it.
//! Guarantee: each is refused, memory has room for one of them at a time, and honest clients get their OK.

use flate2::Compression;
use flate2::write::GzEncoder;
use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;
use std::io::Write;

use crate::NOWHERE;
use crate::honest::{Honest, assert_bounded, memory};
use crate::support::client::{Client, Transport};
use crate::support::gateway::Home;

const CLIENTS: usize = 8;
const EACH: usize = 6;

fn bomb() -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..256 {
        gzip.write_all(&vec![0; 1 << 20]).unwrap();
    }
    gzip.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_costs_one_largest_request() {
    let home = Home::new();
    let gateway = home.start(NOWHERE);
    let honest = Honest::start(&gateway).await;
    let (before, _) = memory(&gateway);
    let bomb = bomb();
    let mut lying = bomb.clone();
    let trailer = lying.len() - 4;
    lying[trailer..].copy_from_slice(&100_u32.to_le_bytes());

    let clients = (0..CLIENTS).map(|client| {
        let (grpc, http) = (gateway.grpc, gateway.http);
        let body = if client % 4 < 2 { bomb.clone() } else { lying.clone() };
        tokio::spawn(async move {
            let (transport, door) = if client % 2 == 0 { (Transport::Grpc, grpc) } else { (Transport::Http, http) };
            let client = Client::patient(transport, door, 60);
            for _ in 0..EACH {
                let answer = client.send_encoded(Signal::Logs, Encoding::Gzip, body.clone(), 256 << 20).await;
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
