//! Scenario: thousands of connections that were greeted and then say nothing, over HTTP/2.
//! Guarantee: they stay open, each takes some KiB of memory, and honest clients get their OK.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::honest::{Honest, memory};
use crate::raw::{self, GREETING};
use crate::support::gateway::Home;
use crate::support::wait::{seconds, until};
use crate::{NOWHERE, count, skip};

/// What an idle connection may take, in KiB.
const EACH: u64 = 40;

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_cheap() {
    let connections = count(500, 9_900);
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if getrlimit(Resource::Nofile).current.is_some_and(|files| files < connections as u64 + 200) {
        return skip::aloud("idle connections (too few open files are allowed here)");
    }
    let home = Home::new();
    let gateway = home.start(NOWHERE);
    let honest = Honest::start(&gateway).await;
    let (before, _) = memory(&gateway);
    let mut idle = Vec::new();
    for _ in 0..connections {
        let mut stream = raw::connect(gateway.grpc).await;
        stream.write_all(GREETING).await.unwrap();
        // Its own SETTINGS: it has set up all it needs.
        stream.read_exact(&mut [0; 9]).await.unwrap();
        idle.push(stream);
    }
    until("all are open", seconds(60), || gateway.metric("spillway_open_connections", &[]) >= connections as f64).await;
    let (after, _) = memory(&gateway);
    honest.stop().await;
    let kib = (after.saturating_sub(before) << 10) / connections as u64;
    eprintln!("{connections} idle connections: {before} MiB before, {after} after, {kib} KiB each");
    // The store fills its buffers meanwhile, too.
    assert!(after <= before + 48 + ((connections as u64 * EACH) >> 10), "{before} MiB before, {after} after");
    assert_eq!(gateway.metric("spillway_turned_away_connections_total", &[]), 0.0);
}
