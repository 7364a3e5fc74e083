//! Sizes, shares and durations as people write them: `64MiB`, `80%`, `500ms`.

use std::fmt;
use std::time::Duration;

/// A number of bytes, written as `512`, `64KiB`, `20GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const SIZES: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl ByteSize {
    /// Reads `64MiB`, `512B` or a plain number of bytes. `None` when it is neither.
    pub fn parse(text: &str) -> Option<ByteSize> {
        let text = text.trim();
        let (number, unit) = match SIZES.iter().find(|(suffix, _)| text.ends_with(suffix)) {
            Some((suffix, unit)) => (&text[..text.len() - suffix.len()], *unit),
            None => (text, 1),
        };
        number.trim().parse::<u64>().ok()?.checked_mul(unit).map(ByteSize)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = SIZES.iter().find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit));
        match exact {
            Some((suffix, unit)) => write!(f, "{}{suffix}", self.0 / unit),
            None => write!(f, "{}B", self.0),
        }
    }
}

const SPANS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads `500ms`, `10s`, `1m30s`, `7d`, or `0`. `None` when it is none of these.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut millis = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_len = rest[digits..].find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len() - digits);
        let unit = &rest[digits..digits + unit_len];
        let (_, factor) = SPANS.iter().find(|(name, _)| *name == unit)?;
        millis += number * *factor as f64;
        rest = &rest[digits + unit_len..];
    }
    (millis > 0.0 || text.trim().starts_with('0')).then(|| Duration::from_micros((millis * 1e3) as u64))
}

/// Writes a duration as [`parse_duration`] reads it, in the largest units that lose nothing: `1m30s`.
pub fn format_duration(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0".to_owned();
    }
    let mut text = String::new();
    for (unit, factor) in SPANS.iter().rev() {
        if millis >= *factor {
            text.push_str(&format!("{}{unit}", millis / factor));
            millis %= factor;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_they_are_written() {
        for (text, bytes) in [("512", 512), ("64KiB", 65_536), ("2GiB", 2 << 30), ("7B", 7)] {
            let size = ByteSize::parse(text).unwrap();
            assert_eq!(size.bytes(), bytes);
            assert_eq!(ByteSize::parse(&size.to_string()), Some(size));
        }
        for text in ["", "GiB", "1.5GiB", "-1", "10 parsecs", "99999999999TiB"] {
            assert_eq!(ByteSize::parse(text), None, "{text}");
        }
    }

    #[test]
    fn durations_read_as_they_are_written() {
        for (text, millis) in [("500ms", 500), ("10s", 10_000), ("1m30s", 90_000), ("7d", 604_800_000), ("0", 0)] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis));
            assert_eq!(format_duration(duration), text);
        }
        for text in ["", "10", "s", "10 s", "5x", "-1s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
