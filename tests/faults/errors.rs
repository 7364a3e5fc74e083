//! Scenario: system calls that change the queue's files fail, with EIO, ENOSPC or EINTR, once or three times in a row, under load
//! and while a store is recovered. Guarantee `poison-on-sync-failure`: the process goes on, or does not start and says why; the
//! store is closed, reopened and verified, and that is counted; each acknowledged item reaches the hub, and the books balance.

use std::fs;
use std::time::{Duration, Instant};

use rand::seq::IndexedRandom;
use serde_json::Value;
use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;

use crate::inject::{self, Phase, Point, Scene, Tracer};
use crate::support::client::{Client, Transport};
use crate::support::gateway::{Gateway, Home};
use crate::support::hub::Hub;
use crate::support::items;
use crate::support::wait::{seconds, until};
use crate::{DRAIN_EVERY, assert_kept, count, to};

/// How long the load goes on in the life that is watched.
const WATCHED: Duration = Duration::from_millis(1000);

/// What is done to the nth call, in strace's words.
const FAULTS: [fn(u32) -> String; 5] = [
    |nth| format!("error=EIO:when={nth}"),
    |nth| format!("error=ENOSPC:when={nth}"),
    |nth| format!("error=EIO:when={nth}..{}", nth + 2),
    |nth| format!("error=ENOSPC:when={nth}..{}", nth + 2),
    |nth| format!("error=EINTR:when={nth}"),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_system_call_is_a_bad_one_to_fail() {
    let Some(scene) = Scene::watched(WATCHED).await else { return };
    let Scene { mut random, hub, config, mut home, points, load } = scene;

    let wanted = count(50, 1000);
    let drawn = points.draw(2 * wanted, &[], &mut random); // some come too late in their life to be waited for
    let mut hit = 0;
    for (number, point) in drawn.iter().enumerate() {
        if hit == wanted {
            break;
        }
        let fault = FAULTS.choose(&mut random).unwrap()(point.nth);
        let fault = match std::env::var("SPILLWAY_FAULTS_ERROR") {
            Ok(error) => format!("error={error}:when={}", point.nth),
            Err(_) => fault,
        };
        let what = format!("{point} {fault}");
        if point.phase == Phase::Start {
            let trace = inject::trace_start(&mut home, &point.call, Some(&fault));
            match home.launch(&config) {
                Ok(started) => started.kill(),
                Err(ended) => assert!(matches!(ended.code(), Some(73 | 74)), "{what}: {ended:?}"),
            }
            hit += usize::from(fs::read_to_string(trace).unwrap().contains("(INJECTED)"));
            home.wrapper.clear();
        }
        let gateway = home.start(&config);
        load.move_to(gateway.grpc, gateway.http);
        if point.phase == Phase::Load {
            hit += usize::from(fails(&home, &gateway, point, &fault, &what).await);
        }
        let before = load.acknowledged();
        logged(&gateway, &format!("{what}: it goes on"), || load.acknowledged() > before).await;
        assert_kept(&gateway, load.acknowledged(), &what);
        if number % DRAIN_EVERY == 0 {
            let acknowledged = load.so_far();
            let arrived = format!("{what}: all that was acknowledged is at the hub");
            logged(&gateway, &arrived, || hub.missing(&acknowledged).is_empty()).await;
        }
        for bad in ["panicked", "ended by a bug", "does not close", "are missing"] {
            assert!(!gateway.log().contains(bad), "{what}:\n{}", gateway.log());
        }
        gateway.kill();
    }
    assert!(hit == wanted || hit == drawn.len(), "too many points are not reached");
    let gateway = home.start(&config);
    let acknowledged = load.stop().await;
    until("everything is settled", seconds(60), || gateway.books("queued") == 0).await;
    assert_kept(&gateway, 0, "in the end");
    assert_eq!(hub.missing(&acknowledged), []);
}

/// Lets a call of a running gateway fail. Whether that call came.
async fn fails(home: &Home, gateway: &Gateway, point: &Point, fault: &str, what: &str) -> bool {
    let reopens = gateway.metric("spillway_store_reopens_total", &[]);
    let tracer = Tracer::attach(home, gateway, &point.call, Some(fault));
    let injected = || tracer.text().matches("(INJECTED)").count();
    let wait = async |most: Duration, enough: usize| {
        let deadline = Instant::now() + most;
        while injected() < enough && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    wait(2 * WATCHED, 1).await;
    wait(WATCHED / 4, 3).await; // each thread counts for itself: new ones would be failed for ever
    let text = tracer.text();
    drop(tracer);
    // What the log's own file could not take or sync was not acknowledged: the store is not to be trusted any more.
    let log = |line: &str| line.contains(".log>") && (line.contains("EIO") || line.contains("ENOSPC"));
    let poisons = text.lines().any(|line| line.contains("(INJECTED)") && log(line) && !line.contains("fallocate("));
    if poisons && matches!(point.call.as_str(), "write" | "fsync" | "fdatasync") {
        let counted = || gateway.metric("spillway_store_reopens_total", &[]) > reopens;
        logged(gateway, &format!("{what}: the store is reopened"), counted).await;
    }
    logged(gateway, &format!("{what}: the store is open"), || queue(gateway)["state"] == "open").await;
    assert_eq!(queue(gateway)["store_reopens"], gateway.metric("spillway_store_reopens_total", &[]) as u64);
    text.contains("(INJECTED)")
}

/// As [`until`], with the log where it does not come.
async fn logged(gateway: &Gateway, what: &str, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + seconds(60);
    while !met() {
        assert!(Instant::now() < deadline, "{what}: not within 60 s:\n{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn queue(gateway: &Gateway) -> Value {
    serde_json::from_str::<Value>(&gateway.get("/status").1).unwrap()["queue"].take()
}

/// Scenario: from some moment on no fsync succeeds, until the disk is well again. Guarantee: nothing is acknowledged meanwhile and
/// clients are told to come back; the process goes on, says so, tries again, and takes batches again by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_stays_broken_is_waited_for() {
    if !inject::is_possible() {
        return;
    }
    let hub = Hub::start().await;
    let home = Home::new();
    let mut gateway = home.start(&to(&hub.url()));
    let client = Client::of(Transport::Http, gateway.http);
    assert!(client.send(Signal::Logs, 0..10).await);

    let tracer = Tracer::attach(&home, &gateway, "fsync,fdatasync", Some("error=EIO"));
    assert!(!client.send(Signal::Logs, 10..20).await, "no fsync, no OK");
    until("a reopen failed", seconds(20), || gateway.log().contains("cannot be reopened")).await;
    assert_eq!(gateway.get("/readyz").0, 503);
    assert!(matches!(queue(&gateway)["state"].as_str(), Some("poisoned" | "recovering")));
    let answer = client.send_body(Signal::Logs, Encoding::Identity, &items::request(Signal::Logs, 20..30)).await;
    assert!(matches!(answer, Answer::Http { status: 503, delay: Some(_), .. }), "{answer:?}");
    assert!(gateway.ended().is_none());
    drop(tracer);

    until("batches are taken again", seconds(20), || queue(&gateway)["state"] == "open").await;
    assert!(client.send(Signal::Logs, 30..40).await);
    let has = |id: u64| hub.copies(Signal::Logs).contains_key(&id);
    until("what was acknowledged is at the hub", seconds(20), || (0..10).chain(30..40).all(has)).await;
    assert_eq!(gateway.metric("spillway_store_reopens_total", &[]), 1.0);
    gateway.assert_balanced();
}
