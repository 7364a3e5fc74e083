//! How long a server wants to be left alone, as HTTP says it. RetryInfo, gRPC's way, is read in `status`.
//!
//! Nothing is capped here: `class::floor` does that, once, for every kind of hint.

use std::time::{Duration, SystemTime};

/// Reads a `Retry-After` header (RFC 9110, 10.2.3): whole seconds, or an HTTP date, which is measured from `now`.
///
/// A date in the past is a delay of zero. A number too large to count stands for a very long delay.
/// `None` for anything else, negative numbers and fractions included.
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;

    /// 1994-11-06T08:49:37Z, the date that RFC 9110 uses in its examples.
    const EXAMPLE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EXAMPLE_SECONDS: u64 = 784_111_777;

    /// Headers as servers send them, right and wrong.
    /// Guarantees the delay that each stands for, and that garbage is no delay.
    #[test]
    fn headers_as_servers_send_them() {
        let now = UNIX_EPOCH + Duration::from_secs(EXAMPLE_SECONDS - 30);
        let seconds = |n| Some(Duration::from_secs(n));
        for (value, delay) in [
            ("0", seconds(0)),
            ("120", seconds(120)),
            (" 7 ", seconds(7)),
            ("99999999999999999999999999", seconds(u64::MAX)),
            (EXAMPLE, seconds(30)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", seconds(30)),
            ("Sun Nov  6 08:49:37 1994", seconds(30)),
            ("Sun, 06 Nov 1994 08:49:06 GMT", seconds(0)),
            ("", None),
            ("-5", None),
            ("+5", None),
            ("1.5", None),
            ("1e3", None),
            ("5s", None),
            ("soon", None),
            ("Sun, 06 Nov 1994", None),
        ] {
            assert_eq!(retry_after(value, now), delay, "{value:?}");
        }
    }

    proptest! {
        /// Any number of whole seconds, and any date.
        /// Guarantees that what was written is what is read.
        #[test]
        fn numbers_and_dates_survive(seconds: u32, now in 0..4_000_000_000_u64) {
            prop_assert_eq!(
                retry_after(&seconds.to_string(), UNIX_EPOCH),
                Some(Duration::from_secs(seconds.into()))
            );
            let date = UNIX_EPOCH + Duration::from_secs(now + u64::from(seconds));
            prop_assert_eq!(
                retry_after(&httpdate::fmt_http_date(date), UNIX_EPOCH + Duration::from_secs(now)),
                Some(Duration::from_secs(seconds.into()))
            );
        }

        /// Any text at all.
        /// Guarantees that no header makes the reader panic.
        #[test]
        fn no_text_makes_it_panic(value: String) {
            retry_after(&value, UNIX_EPOCH);
        }
    }
}
