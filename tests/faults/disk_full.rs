//! Scenario: the hub is away and the volume fills up, by the queue and by somebody else's files. The gateway is killed at that
//! moment, once with the rest of the volume filled behind its back, once after it gave its reserve up, and started again on
//! the full volume. Guarantee: the intake says UNAVAILABLE or 503 with a delay; once the hub is back the queue drains, without
//! anybody making room for it, and the intake opens again; nothing acknowledged is missing and nothing is dropped.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;

use crate::support::client::{Client, Load, Transport};
use crate::support::gateway::{Gateway, Home};
use crate::support::hub::Hub;
use crate::support::items;
use crate::support::wait::{seconds, until};
use crate::{SMALL, skip, to};

const MIB: usize = 1 << 20;
/// The volume, and what somebody else has on it from the start. The rest is less than the quota.
const VOLUME: usize = 160 * MIB;
const TAKEN: usize = 96 * MIB;
const PADDING: usize = 48 << 10;

/// A volume of its own, in memory.
struct Volume(PathBuf);

impl Volume {
    /// Mounts it; nothing where that is not allowed.
    fn mount(at: &Path) -> Option<Volume> {
        fs::create_dir_all(at).unwrap();
        let size = format!("size={VOLUME},mode=700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then(|| Volume(at.to_owned()))
    }

    /// Somebody writes so many bytes to a file, or until nothing is left.
    fn take(&self, name: &str, bytes: usize) {
        let mut file = File::options().create(true).append(true).open(self.0.join(name)).unwrap();
        let piece = vec![7; 64 << 10];
        for _ in 0..bytes / piece.len() {
            if file.write_all(&piece).is_err() {
                return;
            }
        }
    }

    fn holds_ballast(&self) -> bool {
        self.0.join("ballast").exists()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Whether both doors refuse for now, with a delay.
async fn refuses(gateway: &Gateway) -> bool {
    let mut request = items::request(Signal::Logs, 1 << 60..(1 << 60) + 1);
    items::pad(&mut request, PADDING);
    for (transport, door) in [(Transport::Grpc, gateway.grpc), (Transport::Http, gateway.http)] {
        let answer = Client::of(transport, door).send_body(Signal::Logs, Encoding::Identity, &request).await;
        let (Answer::Grpc { code: 14, delay, .. } | Answer::Http { status: 503, delay, .. }) = answer else {
            assert!(matches!(answer, Answer::Accepted { .. }), "{answer:?}");
            return false;
        };
        let delay = delay.unwrap_or_else(|| panic!("{transport:?} gives no delay"));
        assert!((1..=30).contains(&delay.as_secs()), "{delay:?}");
    }
    true
}

async fn until_refused(gateway: &Gateway) {
    let full = async {
        while !refuses(gateway).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(seconds(120), full).await;
    assert!(waited.is_ok(), "the intake is never closed:\n{}", gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_volume_stops_the_intake_and_nothing_else() {
    let mut home = Home::new();
    home.queue = SMALL.to_owned();
    let Some(volume) = Volume::mount(&home.path().join("queue")) else {
        return skip::aloud("disk_full: no volume can be mounted here");
    };
    volume.take("taken", TAKEN);
    let mut hub = Hub::start().await;
    hub.forget();
    hub.take_away().await;
    let config = to(&hub.url());
    let mut gateway = home.start(&config);
    assert!(volume.holds_ballast(), "no reserve was made:\n{}", gateway.log());
    let load = Load::padded(gateway.grpc, gateway.http, 5, Duration::from_millis(5), PADDING);
    for behind_its_back in [true, false] {
        until_refused(&gateway).await;
        if behind_its_back {
            gateway.kill();
            assert!(volume.holds_ballast());
            volume.take("rest", VOLUME);
        } else {
            let given_up = || {
                let held = volume.holds_ballast();
                volume.take("more", if held { MIB } else { 0 }); // what the queue gives back, too, but not its reserve
                !held
            };
            until("the reserve is given up", seconds(20), given_up).await;
            gateway.kill();
        }
        gateway = home.start(&config);
        load.move_to(gateway.grpc, gateway.http);
        gateway.assert_balanced();
        until_refused(&gateway).await; // at once, or once what the start gave back is full again
        let before = load.acknowledged();
        let queued = gateway.books("queued");
        hub.bring_back().await;
        until("the queue drains", seconds(120), || gateway.books("queued") < queued / 4).await;
        until("the intake opens by itself", seconds(120), || load.acknowledged() > before + 50).await;
        until("there is a reserve again", seconds(30), || volume.holds_ballast()).await;
        gateway.assert_balanced();
        hub.take_away().await;
    }
    hub.bring_back().await;
    let acknowledged = load.stop().await;
    until("everything is settled", seconds(120), || gateway.books("queued") == 0).await;
    gateway.assert_balanced();
    assert_eq!(hub.missing(&acknowledged), []);
    for account in ["dead", "dropped", "rejected"] {
        assert_eq!(gateway.books(account), 0, "{account}");
    }
    assert!(gateway.stop().success());
}
