//! Names of rotated files: `traces.jsonl` becomes `traces-2026-11-21T09-00-00.000.jsonl`, in UTC, so that names sort by time.
//!
//! The form is the one of the collector's file exporter (lumberjack), so that its readers find the files by their pattern.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Length of `2026-11-21T09-00-00.000`.
const STAMP: usize = 23;

/// The directory of a file; the working directory for a bare name.
pub(super) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The name under which `path` is put aside at `now`.
pub(super) fn rotated(path: &Path, now: SystemTime) -> PathBuf {
    let (before, after) = around(path);
    path.with_file_name(format!("{before}{}{after}", stamp(now)))
}

/// Whether `name`, found beside `path`, is one of its rotated files.
pub(super) fn is_rotated(path: &Path, name: &OsString) -> bool {
    let (before, after) = around(path);
    let stamp = name.to_str().and_then(|name| name.strip_prefix(&before)?.strip_suffix(&after));
    stamp.is_some_and(|stamp| {
        stamp.len() == STAMP
            && stamp.bytes().zip(*b"0000-00-00T00-00-00.000").all(|(found, form)| match form {
                b'0' => found.is_ascii_digit(),
                mark => found == mark,
            })
    })
}

/// What stands before and after the time stamp.
fn around(path: &Path) -> (String, String) {
    let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let after = path.extension().map_or_else(String::new, |_| format!(".{}", text(path.extension())));
    (format!("{}-", text(path.file_stem())), after)
}

/// `2026-11-21T09-00-00.000`, UTC.
fn stamp(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}.{:03}", since.subsec_millis())
}

/// Year, month and day (from 1) of a day counted from 1970-01-01.
fn date(mut days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month as u64 + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: days around leap years and turns of the year.
    /// Guarantee: the calendar is right, and a later name sorts behind an earlier one.
    #[test]
    fn times_are_written_in_utc_and_sort() {
        for (seconds, text) in [
            (0, "1970-01-01T00-00-00.000"),
            (951_782_399, "2000-02-28T23-59-59.000"),
            (951_782_400, "2000-02-29T00-00-00.000"),
            (1_735_689_599, "2024-12-31T23-59-59.000"),
            (1_795_251_600, "2026-11-21T09-00-00.000"),
            (4_107_542_400, "2100-03-01T00-00-00.000"),
        ] {
            assert_eq!(stamp(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
        assert!(stamp(UNIX_EPOCH + Duration::from_millis(1_999)) < stamp(UNIX_EPOCH + Duration::from_millis(2_000)));
    }

    /// Scenario: a directory that holds the file, its rotated files and others that look alike.
    /// Guarantee: only rotated files of this very file are taken for its own.
    #[test]
    fn rotated_files_are_told_from_others() {
        for path in ["/var/backup/traces.jsonl", "traces", "/x/my.app-1.jsonl"] {
            let path = Path::new(path);
            let name = rotated(path, SystemTime::now());
            assert_eq!(name.parent(), path.parent());
            assert!(is_rotated(path, &name.file_name().unwrap().to_owned()), "{name:?}");
            assert!(!is_rotated(path, &path.file_name().unwrap().to_owned()));
        }
        let path = Path::new("/var/backup/traces.jsonl");
        for other in [
            "traces-old.jsonl",
            "traces-2026-11-21T09-00-00.000.jsonl.gz",
            "traces-b-2026-11-21T09-00-00.000.jsonl",
            "traces-2026-11-21T09:00:00.000.jsonl",
            "logs-2026-11-21T09-00-00.000.jsonl",
        ] {
            assert!(!is_rotated(path, &other.into()), "{other}");
        }
        assert_eq!(directory(Path::new("traces.jsonl")), Path::new("."));
    }
}
