//! Figures as people read them.

use std::time::{Duration, SystemTime};

use indicatif::{HumanBytes, HumanCount};

use crate::units::format_duration;

/// `1,234`
pub(in crate::cli) fn count(count: u64) -> String {
    HumanCount(count).to_string()
}

/// `1.21 MiB`
pub(in crate::cli) fn bytes(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

/// `1 batch`, `2 batches`
pub(in crate::cli) fn batches(count: u64) -> String {
    format!("{} {}", HumanCount(count), if count == 1 { "batch" } else { "batches" })
}

/// `1 item`, `2 items`
pub(in crate::cli) fn items(count: u64) -> String {
    format!("{} {}", HumanCount(count), if count == 1 { "item" } else { "items" })
}

/// How long ago that was, in its two largest units: `3m12s`, `2d4h`.
pub(in crate::cli) fn age(at_ms: u64) -> String {
    let seconds = now_ms().saturating_sub(at_ms) / 1000;
    let coarse = match seconds {
        0..3600 => seconds,
        3600..86_400 => seconds - seconds % 60,
        _ => seconds - seconds % 3600,
    };
    if coarse == 0 { "0s".to_owned() } else { format_duration(Duration::from_secs(coarse)) }
}

/// The wall clock, in milliseconds since the Unix epoch.
pub(in crate::cli) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_units() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (192, "3m12s"), (7_260, "2h1m"), (187_200 + 59, "2d4h")] {
            assert_eq!(age(now_ms() - seconds * 1000), text);
        }
    }
}
