//! Scenario: under load the kernel turns the queue's volume read-only, as it does after an error of the file system. The gateway is
//! ended and started on it as it is; then the volume is repaired.
//! Guarantee: the process goes on, refuses with a delay and says so; on a read-only volume it ends with one line and the documented code;
//! once the volume is well nothing that was acknowledged is missing.

use std::time::Duration;

use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;

use crate::support::client::{Client, Load, Transport};
use crate::support::gateway::Home;
use crate::support::hub::Hub;
use crate::support::items;
use crate::support::wait::{seconds, until};
use crate::volume::Volume;
use crate::{PADDING, skip, to};

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_turns_read_only_stops_the_intake() {
    let mut home = Home::new();
    home.queue = "memory_limit: 64MiB, reserve: 1MiB".to_owned();
    let Some(volume) = Volume::mount(&home.path().join("disk"), &home.path().join("queue")) else {
        return skip::aloud("read_only: no ext4 on a loop device can be mounted here");
    };
    let mut hub = Hub::start().await;
    hub.forget();
    let config = to(&hub.url());
    let mut gateway = home.start(&config);
    let load = Load::padded(gateway.grpc, gateway.http, 5, Duration::from_millis(5), PADDING);
    until("something is acknowledged", seconds(20), || load.acknowledged() > 500).await;
    hub.take_away().await;
    let before = load.acknowledged();
    until("something is queued", seconds(20), || load.acknowledged() > before + 200).await;
    if volume.turn_read_only().is_none() {
        return skip::aloud("read_only: the kernel cannot be asked for an error of ext4");
    }
    until("the store fails", seconds(30), || gateway.log().contains("the store failed: ")).await;
    until("it says that it is not ready", seconds(30), || gateway.get("/readyz").0 == 503).await;
    let acknowledged = load.stop().await;
    for (transport, door) in [(Transport::Grpc, gateway.grpc), (Transport::Http, gateway.http)] {
        let request = items::request(Signal::Logs, 1 << 60..(1 << 60) + 1);
        let answer = Client::of(transport, door).send_body(Signal::Logs, Encoding::Identity, &request).await;
        let (Answer::Grpc { code: 14, delay, .. } | Answer::Http { status: 503, delay, .. }) = answer else {
            panic!("{answer:?}");
        };
        assert!(delay.is_some(), "{transport:?}");
    }
    assert_eq!((gateway.get("/livez").0, gateway.get("/status").0), (200, 200));
    assert!(gateway.ended().is_none(), "{}", gateway.log());
    gateway.kill();

    let ended = home.launch(&config).err().expect("it does not start where it cannot write");
    assert_eq!(ended.code(), Some(73), "{}", home.logged());
    let queue = home.path().join("queue");
    let last = home.logged().lines().last().unwrap().to_owned();
    assert!(last.contains("Read-only file system") && last.contains(queue.to_str().unwrap()), "{last}");

    volume.repair();
    let gateway = home.start(&config);
    gateway.assert_balanced();
    hub.bring_back().await;
    until("everything is settled", seconds(60), || gateway.books("queued") == 0).await;
    gateway.assert_balanced();
    assert_eq!(hub.missing(&acknowledged), [], "{}", gateway.log());
    assert_eq!(gateway.books("dropped") + gateway.books("dead") + gateway.books("rejected"), 0);
    gateway.kill();
}
