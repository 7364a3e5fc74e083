//! What a process uses, as the kernel tells.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Pid;

/// Ticks a second in which Linux tells CPU times to programs (`USER_HZ`).
const TICKS: f64 = 100.0;

/// A look at a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    at: Instant,
    /// User and system time, all threads.
    cpu: Duration,
    /// Resident memory, in KiB.
    pub(crate) resident: u64,
}

impl Usage {
    /// As it is now.
    pub(crate) fn of(pid: Pid) -> Usage {
        let folder = format!("/proc/{}", pid.as_raw_nonzero());
        let stat = fs::read_to_string(format!("{folder}/stat")).unwrap();
        // The name, the second field, may hold anything; the last parenthesis ends it.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        let status = fs::read_to_string(format!("{folder}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let resident = resident.trim_end_matches("kB").trim().parse().unwrap();
        Usage { at: Instant::now(), cpu: Duration::from_secs_f64(ticks as f64 / TICKS), resident }
    }

    /// Share of one core that was used since an earlier look.
    pub(crate) fn share_since(&self, before: &Usage) -> f64 {
        (self.cpu - before.cpu).as_secs_f64() / (self.at - before.at).as_secs_f64()
    }
}
