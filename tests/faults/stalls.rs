//! Scenario: the gateway is frozen for long, or its disk is: an fsync that takes seconds. Guarantee: clients get an answer within
//! 4 s, an OK only for what is on disk; nothing is reopened, too old or lost, and all goes on when the stall is over; probes are answered
//! meanwhile, and a gateway that is to end does.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal as Process;
use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;

use crate::inject::{self, Tracer};
use crate::support::client::{Client, Load, Transport};
use crate::support::gateway::{self, Gateway, Home};
use crate::support::hub::Hub;
use crate::support::items;
use crate::support::wait::{seconds, until};
use crate::{PADDING, SMALL, count, to};

/// An answer is promised within 4 s; the rest is for a machine that is busy.
const ANSWER: Duration = Duration::from_millis(4700);

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_was_frozen_goes_on() {
    let hub = Hub::start().await;
    let mut home = Home::new();
    home.queue = "max_age: 1h".to_owned();
    let gateway = home.start(&to(&hub.url()));
    let load = Load::start(gateway.grpc, gateway.http, 5, Duration::from_millis(5));
    until("something is acknowledged", seconds(20), || load.acknowledged() > 500).await;
    gateway.signal(Process::STOP);
    tokio::time::sleep(seconds(count(6, 300) as u64)).await;
    let before = load.acknowledged();
    gateway.signal(Process::CONT);
    until("it goes on", seconds(20), || load.acknowledged() > before + 500).await;
    let acknowledged = load.stop().await;
    until("everything is settled", seconds(20), || gateway.books("queued") == 0).await;
    assert_eq!(hub.missing(&acknowledged), []);
    gateway.assert_balanced();
    assert_eq!(gateway.books("dropped"), 0, "{}", gateway.log());
    until("no target counts as cut off", seconds(20), || gateway.metric("spillway_partition_active", &[]) == 0.0).await;
    for quiet in ["spillway_store_reopens_total", "spillway_clock_step_seconds"] {
        assert_eq!(gateway.metric(quiet, &[]), 0.0, "{quiet}:\n{}", gateway.log());
    }
    assert_eq!(gateway.get("/readyz").0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_fsync_is_answered_in_time() {
    if !inject::is_possible() {
        return;
    }
    let hub = Hub::start().await;
    let home = Home::new();
    let gateway = home.start(&to(&hub.url()));
    let tracer = Tracer::attach(&home, &gateway, "fdatasync", Some("delay_exit=8000000:when=1"));
    let asking =
        [(Transport::Grpc, gateway.grpc, 0), (Transport::Http, gateway.http, 10)].map(|(transport, door, id)| {
            tokio::spawn(async move {
                let began = Instant::now();
                let request = items::request(Signal::Logs, id..id + 10);
                let answer = Client::of(transport, door).send_body(Signal::Logs, Encoding::Identity, &request).await;
                (answer, began.elapsed())
            })
        });
    for asking in asking {
        let (answer, took) = asking.await.unwrap();
        assert!(matches!(answer, Answer::Grpc { code: 14, .. } | Answer::Http { status: 503, .. }), "{answer:?}");
        assert!(took < ANSWER, "{took:?}");
    }
    assert_eq!(gateway.get("/livez").0, 200);
    let client = Client::of(Transport::Grpc, gateway.grpc);
    let mut taken = false;
    for _ in 0..10 {
        taken = taken || client.send(Signal::Logs, 100..110).await;
    }
    assert!(taken, "it does not go on:\n{}", gateway.log());
    drop(tracer);
    until("it arrives", seconds(20), || hub.copies(Signal::Logs).contains_key(&100)).await;
    until("everything is settled", seconds(20), || gateway.books("queued") == 0).await;
    gateway.assert_balanced();
    assert_eq!(gateway.metric("spillway_store_reopens_total", &[]), 0.0);
}

/// Scenario: the store takes 12 s to open, as one that is salvaged takes longer. Guarantee: all the while the admin port says that
/// the gateway is alive and recovers, and not ready; then it starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_opens_its_store_for_long_is_alive() {
    if !inject::is_possible() {
        return;
    }
    let mut home = Home::new();
    inject::trace_start(&mut home, "fsync", Some("delay_enter=12000000:when=1"));
    let mut admin = None;
    let (mut alive, mut answers) = (String::new(), 0);
    std::thread::scope(|scope| {
        let starting = scope.spawn(|| home.start(&to("http://127.0.0.1:9")));
        while !starting.is_finished() {
            let logged = home.logged();
            let address = || logged.split("address=").nth(1)?.split_whitespace().next()?.parse().ok();
            admin = admin.or_else(address);
            let Some(admin) = admin else { continue };
            let asked = ["/livez", "/readyz", "/status", "/startupz"].map(|path| gateway::get(admin, path));
            let [(code, text), ready, status, startup] = asked; // the last one tells whether the others came too late
            assert_eq!(code, 200, "{text}");
            if startup.0 == 200 {
                break;
            }
            assert_eq!((startup.0, ready.0), (503, 503));
            assert!(startup.1.contains("recovered") && status.1.contains("recover"), "{startup:?} {status:?}");
            (alive, answers) = (text, answers + 1);
            std::thread::sleep(Duration::from_millis(100));
        }
        let gateway = starting.join().unwrap();
        assert!(gateway.started_in > seconds(12), "it was not held up");
    });
    assert!(answers > 1, "nobody looked");
    assert_eq!(alive, "alive\n", "after 12 s the runtime turns");
}

/// Numbers of fsync and fdatasync.
const SYNCS: [&str; 2] = if cfg!(target_arch = "aarch64") { ["82", "83"] } else { ["74", "75"] };

/// Scenario: the disk hangs for good in a flush of RocksDB's, and SIGTERM comes. Guarantee: the process ends within its time, with
/// code 0.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_keeps_no_process() {
    if !inject::is_possible() {
        return;
    }
    let mut home = Home::new();
    home.queue = format!("{SMALL}, durability: os");
    let gateway = home.start(&to("http://127.0.0.1:9"));
    let tracer = Tracer::attach(&home, &gateway, "fsync,fdatasync", Some("delay_enter=600000000"));
    let load = Load::padded(gateway.grpc, gateway.http, 5, Duration::from_millis(1), PADDING);
    until("a flush hangs", seconds(60), || {
        let threads = fs::read_dir(format!("/proc/{}/task", gateway.pid().as_raw_nonzero())).unwrap();
        threads.flatten().any(|thread| {
            let [name, call] =
                ["comm", "syscall"].map(|file| fs::read_to_string(thread.path().join(file)).unwrap_or_default());
            name.starts_with("rocksdb:") && call.split(' ').next().is_some_and(|call| SYNCS.contains(&call))
        })
    })
    .await;
    load.stop().await;
    gateway.signal(Process::TERM);
    // A thread that is traced is not reaped before its tracer lets go.
    let ended = |gateway: &Gateway| {
        let status = fs::read_to_string(format!("/proc/{}/status", gateway.pid().as_raw_nonzero())).unwrap();
        status.contains("State:\tZ")
    };
    until("it ends", seconds(40), || ended(&gateway)).await;
    drop(tracer);
    assert_eq!(gateway.stop().code(), Some(0));
}
