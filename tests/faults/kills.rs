//! Scenario: SIGKILL right before a system call that changes the queue's files, under load and while a store is recovered, where
//! the next recovery is killed, too; with the hub there or away. Guarantee: the next start succeeds, its books balance, and
//! each acknowledged item reaches the hub.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use rand::RngExt;

use crate::inject::{self, Phase, Point, Scene, Tracer};
use crate::support::client::Load;
use crate::support::gateway::{Gateway, Home};
use crate::support::wait::{seconds, until};
use crate::{DRAIN_EVERY, assert_kept, count};

/// How long the load goes on in the life that is watched.
const WATCHED: Duration = Duration::from_millis(1500);

#[tokio::test(flavor = "multi_thread")]
async fn no_system_call_is_a_bad_moment_to_die() {
    let Some(scene) = Scene::watched(WATCHED).await else { return };
    let Scene { mut random, mut hub, config, mut home, points, load } = scene;

    let wanted = count(50, 1000);
    let drawn = points.draw(2 * wanted, &[], &mut random); // some come too late in their life to be waited for
    let mut killed = [0; 2];
    for (number, point) in drawn.iter().enumerate() {
        if killed[0] == wanted {
            break;
        }
        if number % 4 < 2 {
            hub.take_away().await;
        }
        killed[0] += usize::from(dies(&mut home, &config, &load, point).await);
        if random.random_ratio(1, 3) {
            let point = points.one(Phase::Start, &[], &mut random);
            killed[1] += usize::from(dies(&mut home, &config, &load, &point).await);
        }
        home.wrapper.clear();
        let gateway = home.start(&config);
        load.move_to(gateway.grpc, gateway.http);
        assert_kept(&gateway, load.acknowledged(), &point.to_string());
        hub.bring_back().await;
        if number % DRAIN_EVERY == 0 {
            let acknowledged = load.so_far();
            let what = format!("all that was acknowledged until {point} is at the hub");
            until(&what, seconds(120), || hub.missing(&acknowledged).len() as u64 <= parked(&gateway)).await;
        }
        gateway.kill();
    }
    eprintln!("killed at {} points, and at {} of the recovery after them", killed[0], killed[1]);
    assert!(killed[0] == wanted || killed[0] == drawn.len(), "too many points are not reached");
    let acknowledged = load.stop().await;
    let gateway = home.start(&config);
    until("everything is settled", seconds(120), || gateway.books("queued") == parked(&gateway)).await;
    assert_kept(&gateway, 0, "in the end");
    // One that is parked may have reached the hub before the end that left it unsettled.
    assert!(hub.missing(&acknowledged).len() as u64 <= parked(&gateway));
    assert!(parked(&gateway) <= 20, "{}", parked(&gateway));
}

/// Items of batches that were on their way at three such ends in a row: nobody can tell them from one that ends the process.
fn parked(gateway: &Gateway) -> u64 {
    gateway.metric("spillway_queue_parked_items", &[]) as u64
}

/// A life that ends at a point. Whether it came there: otherwise it is ended by the hand of the test.
async fn dies(home: &mut Home, config: &str, load: &Load, point: &Point) -> bool {
    let fault = format!("signal=KILL:when={}", point.nth);
    home.wrapper.clear();
    if point.phase == Phase::Start {
        inject::trace_start(home, &point.call, Some(&fault));
    }
    let mut gateway = match home.launch(config) {
        Ok(gateway) => gateway,
        Err(ended) => {
            assert_eq!(ended.signal(), Some(9), "it ended by itself at {point}");
            return true;
        }
    };
    if point.phase == Phase::Start {
        gateway.kill();
        return false;
    }
    load.move_to(gateway.grpc, gateway.http);
    let _tracer = Tracer::attach(home, &gateway, &point.call, Some(&fault));
    let deadline = Instant::now() + WATCHED;
    while Instant::now() < deadline {
        if let Some(ended) = gateway.ended() {
            assert_eq!(ended.signal(), Some(9), "it ended by itself at {point}:\n{}", gateway.log());
            return true;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    gateway.kill();
    false
}
