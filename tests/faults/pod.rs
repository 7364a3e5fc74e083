//! A pod with little memory, as the kernel sees it.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::queues::MIB;
use crate::skip;

const LIMIT: u64 = 256 * MIB;
/// Made so far: tests run side by side.
static PODS: AtomicU32 = AtomicU32::new(0);

/// A control group of the kernel's, with little memory. Removed when dropped.
pub(crate) struct Pod(PathBuf);

impl Pod {
    /// One with a limit of 256 MiB; where that is not possible, it is said aloud.
    pub(crate) fn new() -> Option<Pod> {
        let number = PODS.fetch_add(1, Relaxed);
        let pod = Pod(PathBuf::from(format!("/sys/fs/cgroup/memory/spillway-{}-{number}", std::process::id())));
        let limit = || fs::write(pod.0.join("memory.limit_in_bytes"), LIMIT.to_string());
        let made = fs::create_dir(&pod.0).and_then(|()| limit());
        if made.is_err() {
            skip::aloud("a pod with little memory: needs root and cgroup v1's memory controller");
        }
        made.is_ok().then_some(pod)
    }

    /// What runs a command in it.
    pub(crate) fn wrapper(&self) -> Vec<String> {
        let enter = format!("echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"", self.0.display());
        ["sh", "-c", &enter].map(str::to_owned).into()
    }

    /// Whether nothing in it was ended for memory.
    pub(crate) fn is_well(&self) -> bool {
        let control = fs::read_to_string(self.0.join("memory.oom_control")).unwrap();
        control.lines().any(|line| line == "oom_kill 0")
    }

    /// Resident memory of what runs in it.
    pub(crate) fn usage(&self) -> String {
        let process = fs::read_to_string(self.0.join("cgroup.procs")).unwrap();
        let status = fs::read_to_string(format!("/proc/{}/status", process.trim())).unwrap_or_default();
        let lines = status.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS"));
        lines.collect::<Vec<_>>().join(", ")
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
