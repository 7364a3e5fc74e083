//! What this process has used, and its resident memory as a curve.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::volume;

pub(crate) struct Usage {
    /// Seconds of all cores.
    pub(crate) cpu: f64,
    /// Bytes that the volume was given to write.
    pub(crate) written: f64,
}

impl Usage {
    pub(crate) fn now(place: &Path) -> Usage {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Usage { cpu: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9, written: volume::written(place) }
    }

    pub(crate) fn since(&self, before: &Usage) -> Usage {
        Usage { cpu: self.cpu - before.cpu, written: self.written - before.written }
    }
}

/// Waits until this process is at rest, twenty seconds at most: until what goes on in the background is over.
pub(crate) async fn settle(place: &Path) {
    for _ in 0..100 {
        let before = Usage::now(place);
        tokio::time::sleep(Duration::from_millis(200)).await;
        if Usage::now(place).since(&before).cpu < 0.004 {
            return;
        }
    }
}

/// Resident memory, looked at ten times a second until it is dropped.
pub(crate) struct Curve {
    seen: Arc<Mutex<Vec<u64>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Curve {
    pub(crate) fn begin() -> Curve {
        let (seen, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let thread = thread::spawn({
            let (seen, over) = (Arc::clone(&seen), Arc::clone(&over));
            move || {
                while !over.load(Relaxed) {
                    seen.lock().expect("nobody panics").push(number("/proc/self/status", "VmRSS:") >> 10);
                    thread::sleep(Duration::from_millis(100));
                }
            }
        });
        Curve { seen, over, thread: Some(thread) }
    }

    /// What was seen since the last call, in MiB: the peak of each of so many stretches.
    pub(crate) fn take(&self, stretches: usize) -> Vec<u64> {
        let seen = std::mem::take(&mut *self.seen.lock().expect("nobody panics"));
        let len = seen.len().div_ceil(stretches).max(1);
        seen.chunks(len).map(|stretch| stretch.iter().copied().max().unwrap_or(0)).collect()
    }
}

impl Drop for Curve {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn number(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
    line.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}
