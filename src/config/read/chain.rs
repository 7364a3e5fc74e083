//! `chain` and `replay`

use std::time::Duration;

use crate::batch::Signal;
use crate::config::chain::{ChainConfig, ReplayConfig, ReplayRate, SignalChain};
use crate::config::reader::{Section, Share};
use crate::config::targets::TargetConfig;
use crate::units::ByteSize;

pub(super) fn read(section: &mut Section<'_>, targets: &[TargetConfig]) -> ChainConfig {
    // The only target there is needs no chain to be the primary.
    let only = match targets {
        [only] => only.name.as_str(),
        _ => "",
    };
    let whole = SignalChain { primary: section.text("primary", only), fallback: fallback(section).unwrap_or_default() };
    let signals = section.section("signals", |section| {
        Signal::ALL.map(|signal| {
            section.section(signal.as_str(), |section| SignalChain {
                primary: section.text("primary", &whole.primary),
                fallback: fallback(section).unwrap_or_else(|| whole.fallback.clone()),
            })
        })
    });
    ChainConfig {
        signals,
        failover_after: section.interval("failover_after", Duration::from_secs(30)),
        min_stay: section.duration("min_stay", Duration::from_secs(60)),
        fallback_takes_backlog: section.choice("fallback_takes", true, &[("all", true), ("fresh", false)]),
    }
}

fn fallback(section: &mut Section<'_>) -> Option<Vec<String>> {
    Some(section.words("fallback")?.into_iter().map(|(_, word)| word).collect())
}

pub(super) fn replay(section: &mut Section<'_>) -> ReplayConfig {
    let default = ReplayConfig::default();
    let expected = "auto, or bytes a second such as 20MiB";
    let rate = section.scalar("rate", default.rate, expected, |scalar| match scalar.text.as_str() {
        "auto" => Some(ReplayRate::Auto),
        text => {
            ByteSize::parse(text).filter(|size| size.bytes() > 0).map(|size| ReplayRate::BytesPerSecond(size.bytes()))
        }
    });
    ReplayConfig { rate, fresh_share: section.share("fresh_share", default.fresh_share, Share::Inner) }
}
