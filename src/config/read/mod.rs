//! From the tree to the typed sections: one file a section, each key with its range.
//!
//! What concerns one key alone is checked here; what concerns several sections together is checked in `rules`.

mod chain;
mod endpoint;
mod process;
mod queue;
mod receivers;
mod shape;
mod target_endpoint;
mod target_parts;
mod targets;

use super::Config;
use super::reader::{KeyPath, Report};
use super::tree::Node;

pub(super) use endpoint::{ParsedEndpoint, parse_bind};
pub(super) use process::traces_target;

/// Reads the whole. What is wrong is in the report afterwards, and has its default in the result.
pub(super) fn config(tree: &Node, report: &Report) -> Config {
    report.section(Some(tree), KeyPath::default(), |root| {
        let targets = targets::read(root);
        Config {
            cluster: root.section("cluster", process::cluster),
            receivers: root.section("receivers", |section| section.section("otlp", receivers::read)),
            queue: root.section("queue", queue::read),
            chain: root.section("chain", |section| chain::read(section, &targets)),
            targets,
            replay: root.section("replay", chain::replay),
            admin: root.section("admin", process::admin),
            shutdown: root.section("shutdown", process::shutdown),
            telemetry: root.section("telemetry", process::telemetry),
        }
    })
}
