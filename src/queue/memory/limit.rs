//! What memory the kernel lets this process take: the limits of its cgroup and of those above it, or half of the machine.
//!
//! Reads a few files below `/proc` and `/sys/fs/cgroup` once, at the start.

use std::fs;
use std::path::{Path, PathBuf};

/// Where nothing can be read: what a small pod has.
const UNKNOWN: u64 = 256 << 20;

/// The least limit that holds for this process, in bytes.
pub(super) fn of_this_process() -> u64 {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let machine = machine(&read("/proc/meminfo"));
    // Others live on a machine, too, but a cgroup is there for what is in it.
    let shared = machine.map_or(UNKNOWN, |bytes| bytes / 2);
    let own = directories(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"));
    let limit = own.iter().filter_map(|(directory, top)| least(directory, top)).min();
    limit.filter(|limit| machine.is_none_or(|machine| *limit < machine)).unwrap_or(shared)
}

/// `MemTotal`, in bytes.
fn machine(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

/// The directories that hold this process's limits, of cgroup v2 and of v1's memory controller, each with the uppermost
/// one that can be seen.
fn directories(cgroup: &str, mountinfo: &str) -> Vec<(PathBuf, PathBuf)> {
    let of_line = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let kind = match controllers {
            "" => "cgroup2",
            _ if controllers.split(',').any(|controller| controller == "memory") => "cgroup",
            _ => return None,
        };
        let (root, top) = mountinfo.lines().find_map(|line| mount(line, kind))?;
        // A container often sees its own cgroup as the root of the mount, under a path that is the host's.
        let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
        Some((Path::new(top).join(below), PathBuf::from(top)))
    };
    cgroup.lines().filter_map(of_line).collect()
}

/// Root and mount point of a line of `mountinfo` (proc(5)), if it mounts that kind of cgroup.
fn mount<'l>(line: &'l str, kind: &str) -> Option<(&'l str, &'l str)> {
    let (left, right) = line.split_once(" - ")?;
    let mut fields = left.split(' ').skip(3);
    let (root, top) = (fields.next()?, fields.next()?);
    let mut right = right.split(' ');
    let fits = right.next()? == kind
        && (kind == "cgroup2" || right.nth(1)?.split(',').any(|controller| controller == "memory"));
    fits.then_some((root, top))
}

/// The least limit from `directory` up to `top`. `max`, and v1's number for it, are no limits.
fn least(directory: &Path, top: &Path) -> Option<u64> {
    let up = directory.ancestors().take_while(|directory| directory.starts_with(top));
    let limits = up.flat_map(|directory| ["memory.max", "memory.limit_in_bytes"].map(|file| directory.join(file)));
    limits.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n";

    fn pair(directory: &str, top: &str) -> Vec<(PathBuf, PathBuf)> {
        vec![(directory.into(), top.into())]
    }

    #[test]
    fn the_cgroup_is_found_in_either_version_and_inside_a_container() {
        let v1 = directories("5:devices:/x\n4:memory:/pods/a\n1:cpu:/\n0::/\n", V1);
        assert_eq!(v1, pair("/sys/fs/cgroup/memory/pods/a", "/sys/fs/cgroup/memory"));
        let host = "30 23 0:27 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(directories("0::/kube/pod\n", host), pair("/sys/fs/cgroup/kube/pod", "/sys/fs/cgroup"));
        let inside = "30 23 0:27 /kube/pod /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        assert_eq!(directories("0::/kube/pod\n", inside), pair("/sys/fs/cgroup/", "/sys/fs/cgroup"));
        assert_eq!(directories("0::/../other\n", inside), pair("/sys/fs/cgroup/", "/sys/fs/cgroup"));
        assert_eq!(directories("", ""), []);
    }

    #[test]
    fn the_least_limit_on_the_way_up_holds() {
        let top = tempfile::tempdir().unwrap();
        let below = top.path().join("pod/container");
        fs::create_dir_all(&below).unwrap();
        assert_eq!(least(&below, top.path()), None);
        fs::write(below.join("memory.max"), "max\n").unwrap();
        fs::write(top.path().join("pod/memory.max"), "268435456\n").unwrap();
        fs::write(top.path().join("memory.max"), "1073741824\n").unwrap();
        assert_eq!(least(&below, top.path()), Some(256 << 20));
        fs::write(below.join("memory.limit_in_bytes"), "1048576\n").unwrap();
        assert_eq!(least(&below, top.path()), Some(1 << 20));
    }

    #[test]
    fn this_machine_has_memory() {
        assert_eq!(machine("MemFree: 1 kB\nMemTotal:       24 kB\n"), Some(24 << 10));
        assert!(of_this_process() > 1 << 20);
    }
}
