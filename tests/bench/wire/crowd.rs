//! P7 and P12: what the doors hold in memory at rest, under full load, under ten times what they take, and beside a crowd.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use spillway::batch::{Encoding, Signal};
use tokio::task::JoinSet;

use crate::contestant::Contestant;
use crate::load::Client;
use crate::payload::{self, Payload};
use crate::{IN_FLIGHT, sink};

/// Connections that say nothing but to answer pings.
const IDLE: usize = 10_000;
/// Connections that have requests in flight all the time.
const BUSY: usize = 1_000;

/// Connections, and requests of 65 KB in flight on each, that make ten times what the doors take by default, which is 32 MiB.
const OVERLOAD: (usize, usize) = (320, 16);

/// Requests of full load.
const FULL: usize = 4_000;

/// How long many are busy, and for how long one that was refused stays away, to a half more or less.
const A_WHILE: Duration = Duration::from_secs(15);
const AWAY: Duration = Duration::from_secs(1);

const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn run() -> ExitCode {
    match measure().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("DID NOT RUN: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<(), String> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).map_err(|error| error.to_string())?;
    let usual = Payload::new(Signal::Logs, payload::ITEMS, Encoding::Gzip);
    let small = Payload::new(Signal::Logs, payload::FEW, Encoding::Gzip);
    let sink = sink::Sink::start(usual.clone(), ([127, 0, 0, 1], 0).into(), Duration::ZERO).await;
    let sink = sink.map_err(|error| error.to_string())?;
    let mut gateway = Contestant::start("spillway, a crowd", sink.address())?;
    let door = gateway.door();
    tell(&mut gateway, "at rest")?;

    Client::connect(door).await?.send(&usual, FULL, IN_FLIGHT).await?;
    let mut items = FULL as u64 * usual.items;
    sink.until(items, PATIENCE).await?;
    tell(&mut gateway, &format!("{FULL} requests of 1000 logs, {IN_FLIGHT} in flight"))?;

    let busy = connect(door, OVERLOAD.0).await?;
    let (taken, refused) = press(&busy, &usual, OVERLOAD.1).await?;
    items += taken * usual.items;
    sink.until(items, PATIENCE).await?;
    tell(&mut gateway, &format!("the same, {} in flight: {taken} taken, {refused} refused", OVERLOAD.0 * OVERLOAD.1))?;
    drop(busy);

    let idle = connect(door, IDLE).await?;
    tell(&mut gateway, &format!("{IDLE} idle connections"))?;
    let busy = connect(door, BUSY).await?;
    let (taken, refused) = press(&busy, &small, 1).await?;
    items += taken * small.items;
    sink.until(items, PATIENCE).await?;
    tell(&mut gateway, &format!("and {BUSY} busy ones, 20 logs a request: {taken} taken, {refused} refused"))?;
    match idle.iter().chain(&busy).filter(|client| !client.is_open()).count() {
        0 => Ok(()),
        lost => Err(format!("{lost} connections were not held")),
    }
}

async fn connect(door: std::net::SocketAddr, connections: usize) -> Result<Vec<Arc<Client>>, String> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Arc::new(Client::connect(door).await?));
    }
    Ok(clients)
}

/// Has so many in flight on each connection for a while; how many were taken, and how many were to come back.
async fn press(clients: &[Arc<Client>], payload: &Payload, in_flight: usize) -> Result<(u64, u64), String> {
    let (mut all, until) = (JoinSet::new(), Instant::now() + A_WHILE);
    for client in clients.iter().flat_map(|client| std::iter::repeat_n(client, in_flight)) {
        let (client, payload) = (Arc::clone(client), payload.clone());
        all.spawn(async move {
            let (mut taken, mut refused) = (0, 0);
            while Instant::now() < until {
                if client.offer(&payload).await? {
                    taken += 1;
                } else {
                    refused += 1;
                    tokio::time::sleep(AWAY.mul_f64(rand::random_range(0.5..1.5))).await;
                }
            }
            Ok::<_, String>((taken, refused))
        });
    }
    let (mut taken, mut refused) = (0, 0);
    while let Some(done) = all.join_next().await {
        let (more, less) = done.map_err(|error| error.to_string())??;
        (taken, refused) = (taken + more, refused + less);
    }
    Ok((taken, refused))
}

/// Prints what it holds, and has held since it was told last.
fn tell(gateway: &mut Contestant, what: &str) -> Result<(), String> {
    let usage = gateway.usage()?;
    println!("{what:<72} {:>4} MiB, at most {}", usage.resident >> 20, usage.peak_resident >> 20);
    gateway.forget_peak()
}
