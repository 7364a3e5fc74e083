//! Scenario: the queue lies on an ext4 volume whose disk, a file on a full tmpfs, takes no new blocks: fsync fails for true, and what
//! was not synced is gone with the page cache. Once the disk is well again under the running gateway, once the gateway is killed
//! and the volume mounted anew. Guarantee: the store fails and is reopened, and nothing acknowledged is missing.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use spillway::batch::Signal;

use crate::support::client::{Client, Load, Transport};
use crate::support::gateway::{Gateway, Home};
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};
use crate::{PADDING, skip, to};

const MIB: u64 = 1 << 20;
/// What the volume says that it has, one group of blocks, and what there is below it.
const SIZE: u64 = 128 * MIB;
const MEMORY: u64 = 96 * MIB;
/// More than the volume's journal has room for.
const COMMITS: u32 = 1500;

/// A volume on a disk that can fail.
pub(crate) struct Volume {
    disk: PathBuf,
    at: PathBuf,
}

impl Volume {
    /// Makes and mounts it; nothing where that is not possible.
    pub(crate) fn mount(disk: &Path, at: &Path) -> Option<Volume> {
        fs::create_dir_all(disk).unwrap();
        fs::create_dir_all(at).unwrap();
        let volume = Volume { disk: disk.to_owned(), at: at.to_owned() };
        let size = format!("size={MEMORY},mode=700");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(disk))?;
        File::create(volume.image()).unwrap().set_len(SIZE).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0", "-J", "size=4"]).arg(volume.image()))?;
        volume.mount_again()?;
        // The journal is written all round, so that it is data alone that finds no block: a volume whose journal fails is mounted
        // read-only by the kernel, and cannot be healed where it is.
        for _ in 0..COMMITS {
            File::create(at.join("commit")).unwrap().sync_all().unwrap();
            fs::remove_file(at.join("commit")).unwrap();
        }
        Some(volume)
    }

    /// One whose image lies in that folder already.
    pub(crate) fn at_rest(disk: &Path, at: &Path) -> Option<Volume> {
        fs::create_dir_all(at).unwrap();
        let volume = Volume { disk: disk.to_owned(), at: at.to_owned() };
        volume.mount_again()?;
        Some(volume)
    }

    /// Where it is mounted.
    pub(crate) fn at(&self) -> &Path {
        &self.at
    }

    /// The file that is its disk.
    pub(crate) fn image(&self) -> PathBuf {
        self.disk.join("image")
    }

    fn mount_again(&self) -> Option<()> {
        run(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(&self.at))
    }

    /// As a loss of power: what did not reach the disk is gone.
    fn unmount(&self) {
        run(Command::new("umount").arg(&self.at)).unwrap();
    }

    /// As after an error of its file system: the kernel lets nobody write to it, whoever has files open there. `None` where it
    /// cannot be asked to.
    ///
    /// Writes are held meanwhile: ext4 lets an fsync that comes amid the abort of its journal succeed, and what that fsync was for is
    /// gone after the repair. So it does for any program, and no program can tell.
    pub(crate) fn turn_read_only(&self) -> Option<()> {
        run(Command::new("mount").args(["-o", "remount,errors=remount-ro"]).arg(&self.at))?;
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let device = mounts.lines().find_map(|line| line.split_once(&format!(" {} ", self.at.display())))?.0;
        let trigger = Path::new("/sys/fs/ext4").join(device.strip_prefix("/dev/")?).join("trigger_fs_error");
        run(Command::new("fsfreeze").arg("--freeze").arg(&self.at))?;
        let triggered = fs::write(trigger, "1").ok();
        run(Command::new("fsfreeze").arg("--unfreeze").arg(&self.at)).expect("the volume lets writes go on");
        triggered
    }

    /// Repairs it, and mounts it anew. Nobody may have files open there.
    pub(crate) fn repair(&self) {
        self.unmount();
        let checked = Command::new("e2fsck").arg("-fy").arg(self.image()).output().unwrap();
        assert!(matches!(checked.status.code(), Some(0 | 1)), "{checked:?}");
        self.mount_again().unwrap();
    }

    /// From now on no new block can be written.
    fn fail(&self) {
        let mut filler = File::create(self.disk.join("filler")).unwrap();
        let block = vec![7; 4096];
        while filler.write_all(&block).is_ok() {}
    }

    fn heal(&self) {
        fs::remove_file(self.disk.join("filler")).unwrap();
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        for mounted in [&self.at, &self.disk] {
            let _ = Command::new("umount").arg("-l").arg(mounted).output();
        }
    }
}

fn run(command: &mut Command) -> Option<()> {
    command.output().is_ok_and(|output| output.status.success()).then_some(())
}

async fn until_failed(gateway: &Gateway, times: usize) {
    until("the store fails", seconds(60), || gateway.log().matches("the store failed: ").count() >= times).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_on_the_word_of_a_failed_fsync() {
    let mut home = Home::new();
    home.queue = "memory_limit: 64MiB, reserve: 1MiB".to_owned();
    let Some(volume) = Volume::mount(&home.path().join("disk"), &home.path().join("queue")) else {
        return skip::aloud("volume: no ext4 on a loop device can be mounted here");
    };
    let mut hub = Hub::start().await;
    hub.forget();
    let config = to(&hub.url());
    let gateway = home.start(&config);
    let load = Load::padded(gateway.grpc, gateway.http, 5, Duration::from_millis(5), PADDING);
    until("something is acknowledged", seconds(20), || load.acknowledged() > 500).await;

    hub.take_away().await;
    volume.fail();
    until_failed(&gateway, 1).await;
    volume.heal();
    until("batches are taken again", seconds(60), || gateway.get("/readyz").0 == 200).await;
    assert_eq!(gateway.metric("spillway_store_reopens_total", &[]), 1.0, "{}", gateway.log());
    let before = load.acknowledged();
    until("it goes on", seconds(20), || load.acknowledged() > before + 500).await;
    let mut acknowledged = load.stop().await;
    gateway.assert_balanced();

    volume.fail();
    let client = Client::of(Transport::Grpc, gateway.grpc);
    let mut taken = Vec::new();
    for id in (1 << 50)..(1 << 50) + 5000 {
        if !client.send_padded(Signal::Logs, id..id + 1, PADDING).await {
            break;
        }
        taken.push(id);
    }
    until_failed(&gateway, 2).await;
    gateway.kill();
    volume.unmount();
    volume.heal();
    volume.mount_again().unwrap();
    let gateway = home.start(&config);
    gateway.assert_balanced();
    hub.bring_back().await;
    until("everything is settled", seconds(60), || gateway.books("queued") == 0).await;
    gateway.assert_balanced();
    // Where a write begins in a block that is there, Linux's loop driver calls it done though the rest of it found no room. So
    // the last fsync before the one that fails may be a lie.
    let lie = u64::from(taken.pop().is_some_and(|id| !hub.copies(Signal::Logs).contains_key(&id)));
    acknowledged.entry(Signal::Logs).or_default().extend(taken);
    assert_eq!(hub.missing(&acknowledged), [], "{}", gateway.log());
    assert!(gateway.books("dropped") <= lie, "{}", gateway.log());
    assert_eq!(gateway.books("dead") + gateway.books("rejected"), 0);
    gateway.kill();
}
