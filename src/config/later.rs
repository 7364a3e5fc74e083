//! Keys that are read and checked, but whose feature is not built yet. Setting one to something else than its default gives a
//! warning. A line leaves the table with the change that builds its feature.

use super::mistake::Mistake;
use super::reader::Report;
use super::tree::{Node, Value};

/// Path (`*` for any name) of a key or of a whole section, and what holds until then.
const LATER: &[(&str, &str)] = &[
    ("telemetry.heartbeat", "no heartbeat is sent until then"),
    ("telemetry.traces", "spillway makes no spans of its own until then"),
];

/// Warns of each key in the table whose value in `effective` differs from the one in `defaults`; `written` says where it is.
pub(super) fn check(effective: &Node, defaults: &Node, written: &Node, report: &Report) {
    for (pattern, until) in LATER {
        let pattern: Vec<&str> = pattern.split('.').collect();
        for path in paths(effective, &pattern) {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            if effective.find(&path).map(values) != defaults.find(&path).map(values) {
                let what = format!("`{}` is not built yet: {until}", path.join("."));
                report.warning(Mistake::new(written.place(&path), what));
            }
        }
    }
}

/// Every path in the tree that fits the pattern.
fn paths(node: &Node, pattern: &[&str]) -> Vec<Vec<String>> {
    let Some((first, rest)) = pattern.split_first() else { return vec![Vec::new()] };
    let fits = node.entries().iter().filter(|entry| *first == "*" || entry.key == *first);
    fits.flat_map(|entry| {
        paths(&entry.value, rest).into_iter().map(|mut path| {
            path.insert(0, entry.key.clone());
            path
        })
    })
    .collect()
}

/// The values alone, without places.
fn values(node: &Node) -> String {
    match &node.value {
        Value::Scalar(scalar) => scalar.text.clone(),
        Value::List(items) => format!("[{}]", items.iter().map(values).collect::<Vec<_>>().join(",")),
        Value::Map(entries) => {
            entries.iter().map(|entry| format!("{}={};", entry.key, values(&entry.value))).collect::<String>()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Source};

    /// A line that names no key would never warn.
    #[test]
    fn every_line_names_a_key() {
        let text = include_str!("../../config/reference.yaml").to_owned();
        let source = Source::Text { name: "reference.yaml".to_owned(), text };
        let config = Config::load(&source, &[], &|_| None).unwrap().config;
        let tree = crate::config::show::tree(&config);
        for (pattern, _) in LATER {
            assert!(!paths(&tree, &pattern.split('.').collect::<Vec<_>>()).is_empty(), "{pattern}");
        }
    }
}
