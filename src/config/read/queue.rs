//! `queue`

use std::time::Duration;

use crate::batch::Signal;
use crate::config::mistake::Mistake;
use crate::config::queue::{DeadLetterConfig, Durability, Order, QueueConfig, QueueSize, SignalQueue, WhenFull};
use crate::config::reader::{Section, Share, parse_share};
use crate::units::ByteSize;

/// Below this a queue holds less than a large request.
const MIN_SIZE: u64 = 1 << 20;

pub(super) fn read(section: &mut Section<'_>) -> QueueConfig {
    let default = QueueConfig::default();
    QueueConfig {
        directory: section.optional_path("directory").unwrap_or(default.directory),
        durability: section.choice(
            "durability",
            default.durability,
            &[("fsync", Durability::Fsync), ("interval", Durability::Interval), ("os", Durability::Os)],
        ),
        sync_interval: section.interval("sync_interval", default.sync_interval),
        max_size: max_size(section, default.max_size),
        reserve: auto_size(section, "reserve", 1),
        memory_limit: auto_size(section, "memory_limit", 64 << 20),
        max_age: section.duration("max_age", default.max_age),
        when_full: section.choice("when_full", default.when_full, WHEN_FULL),
        signals: section.section("signals", signals),
        dead_letters: section.section("dead_letters", |section| {
            let default = DeadLetterConfig::default();
            DeadLetterConfig {
                max_size: section.size("max_size", default.max_size, 0..=u64::MAX),
                max_age: section.interval("max_age", default.max_age),
            }
        }),
    }
}

const WHEN_FULL: &[(&str, WhenFull)] =
    &[("backpressure", WhenFull::Backpressure), ("drop_oldest", WhenFull::DropOldest)];

fn max_size(section: &mut Section<'_>, default: QueueSize) -> QueueSize {
    let expected = "a size of at least 1MiB such as 2GiB, or a share of the volume such as 80%";
    section.scalar("max_size", default, expected, |scalar| match ByteSize::parse(&scalar.text) {
        Some(size) => (size.bytes() >= MIN_SIZE).then_some(QueueSize::Bytes(size.bytes())),
        None if scalar.text.ends_with('%') => {
            parse_share(&scalar.text).filter(|share| *share > 0.0 && *share <= 1.0).map(QueueSize::Share)
        }
        None => None,
    })
}

/// `auto` or a size.
fn auto_size(section: &mut Section<'_>, key: &'static str, least: u64) -> Option<u64> {
    let expected = format!("auto, or a size of at least {} such as 256MiB", ByteSize(least));
    section.scalar(key, None, &expected, |scalar| match scalar.text.as_str() {
        "auto" => Some(None),
        text => ByteSize::parse(text).map(ByteSize::bytes).filter(|bytes| *bytes >= least).map(Some),
    })
}

fn signals(section: &mut Section<'_>) -> [SignalQueue; 3] {
    let default = QueueConfig::default().signals;
    let mut shares = [None; 3];
    let mut signals = Signal::ALL.map(|signal| {
        let default = &default[signal.index()];
        section.section(signal.as_str(), |section| {
            shares[signal.index()] = section.given("share", |section| section.share("share", 1.0, Share::Positive));
            SignalQueue {
                max_age: section.given("max_age", |section| section.duration("max_age", Duration::ZERO)),
                when_full: section
                    .given("when_full", |section| section.choice("when_full", WhenFull::Backpressure, WHEN_FULL)),
                order: section.choice(
                    "order",
                    default.order,
                    &[("fresh_first", Order::FreshFirst), ("fifo", Order::Fifo)],
                ),
                share: default.share,
            }
        })
    });
    // Signals without a share of their own divide what the others leave.
    let given: f64 = shares.iter().flatten().sum();
    let others = shares.iter().filter(|share| share.is_none()).count();
    if given > 1.0 + 1e-9 || (others > 0 && given > 1.0 - 1e-9) {
        let what = format!("the shares in `{}` add up to {:.0}%", section.path.real, given * 100.0);
        let expected = if others > 0 { "less than 100%, so that the other signals have one" } else { "at most 100%" };
        section.report.mistake(Mistake::new(section.place.clone(), what).expected(expected));
        return signals;
    }
    if others < Signal::ALL.len() {
        // Rounded as shares are shown, so that what is shown reads back as the same.
        let rest = ((1.0 - given) / others as f64 * 1e6).round() / 1e6;
        for (signal, share) in signals.iter_mut().zip(shares) {
            signal.share = share.unwrap_or(rest);
        }
    }
    signals
}
