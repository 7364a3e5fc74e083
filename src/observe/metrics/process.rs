//! Families of the process itself, under their conventional names, read from /proc.
//!
//! By hand, as it is five numbers; where there is no /proc they are absent.

use std::fs;
use std::time::Duration;

use super::family::{Family, Page};
use crate::observe::facts::Facts;
use crate::observe::sources::Reload;

static BUILD: Family = Family::gauge(
    "spillway_build_info",
    &["version", "commit"],
    "1, with the version and the commit it was built from.",
);
static RELOAD: Family = Family::gauge(
    "spillway_config_last_reload_successful",
    &[],
    "1 when the configuration that was read last is the one in force.",
);
static RELOADED: Family = Family::gauge(
    "spillway_config_last_reload_success_timestamp_seconds",
    &[],
    "When a changed configuration was last put in force; 0 for not since the start.",
);
static START: Family = Family::gauge("process_start_time_seconds", &[], "When the process started.");
static CPU: Family = Family::counter("process_cpu_seconds_total", &[], "CPU time, user and system.");
static RESIDENT: Family = Family::gauge("process_resident_memory_bytes", &[], "Resident memory.");
static WRITTEN: Family = Family::counter(
    "process_storage_written_bytes_total",
    &[],
    "Bytes that the process gave the disks to write, as the kernel counts them.",
);
static OPEN_FDS: Family = Family::gauge("process_open_fds", &[], "Open file descriptors.");
static MAX_FDS: Family = Family::gauge("process_max_fds", &[], "Most file descriptors that may be open.");

pub(super) static FAMILIES: &[&Family] =
    &[&BUILD, &RELOAD, &RELOADED, &START, &CPU, &RESIDENT, &WRITTEN, &OPEN_FDS, &MAX_FDS];

/// `/proc/PID/stat` counts in USER_HZ, which the kernel's interface fixes at 100 a second on every platform we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Writes what the system knows of this process.
pub(super) fn fill(page: &mut Page, facts: &Facts, reload: Option<&Reload>) {
    page.flag(&BUILD, &[facts.version, facts.commit], true);
    page.flag(&RELOAD, &[], reload.is_none_or(|reload| reload.successful));
    page.timestamp(&RELOADED, &[], reload.and_then(|reload| reload.success_ms));
    page.timestamp(&START, &[], Some(facts.started_ms));
    if let Some(cpu) = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| cpu_time(&stat)) {
        page.number(&CPU, &[], cpu.as_secs_f64());
    }
    if let Some(resident) = fs::read_to_string("/proc/self/status").ok().and_then(|status| resident(&status)) {
        page.count(&RESIDENT, &[], resident);
    }
    if let Some(written) = written_bytes() {
        page.count(&WRITTEN, &[], written);
    }
    if let Some(open) = open_files() {
        page.count(&OPEN_FDS, &[], open);
    }
    if let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        page.count(&MAX_FDS, &[], most);
    }
}

/// User and system time in `/proc/PID/stat`: fields 14 and 15 (proc(5)). The name of the program, field 2, stands in
/// parentheses and may hold anything.
fn cpu_time(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs_f64((user + system) as f64 / TICKS_PER_SECOND))
}

/// `VmRSS` in `/proc/PID/status`, in bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// `write_bytes` in `/proc/PID/io`: what went to the storage layer, or will (proc(5)).
pub(super) fn written_bytes() -> Option<u64> {
    let io = fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes:"))?.trim().parse().ok()
}

/// Since Linux 6.2 the size of `/proc/PID/fd` is the number of entries; before, it was 0 and one has to list them, which
/// takes milliseconds with ten thousand connections.
fn open_files() -> Option<u64> {
    match fs::metadata("/proc/self/fd").ok()?.len() {
        0 => fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64),
        open => Some(open),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194560 5000 0 0 0 250 150 7 8 20 0 9 0 1000 5000000 700";
        assert_eq!(cpu_time(stat), Some(Duration::from_secs(4)));
        assert_eq!(cpu_time("42 (short) S 1"), None);
    }

    #[test]
    fn resident_memory_is_told_in_bytes() {
        assert_eq!(resident("Name:\tspillway\nVmRSS:\t   12 kB\nThreads:\t3\n"), Some(12 * 1024));
        assert_eq!(resident("Name:\tspillway\n"), None);
    }
}
