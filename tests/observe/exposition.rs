//! Reads the Prometheus text format back, strictly enough to be a check of it.

use std::collections::{BTreeMap, BTreeSet};

/// One sample.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// Every sample of an exposition. Panics on a line that is none, a sample without a TYPE before it, and one told twice.
pub(crate) fn read(text: &str) -> Vec<Sample> {
    let mut types = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut samples = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram", "summary"].contains(&kind), "{line}");
            assert!(types.insert(name.to_owned()), "{name} comes twice");
        } else if !line.starts_with("# HELP ") {
            let sample = sample(line);
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| sample.name.strip_suffix(end));
            let typed = types.contains(&sample.name) || family.is_some_and(|family| types.contains(family));
            assert!(typed, "no TYPE before {line}");
            assert!(seen.insert((sample.name.clone(), sample.labels.clone())), "told twice: {line}");
            samples.push(sample);
        }
    }
    samples
}

/// Labels in these tests hold neither quotes nor braces nor commas.
fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
        None => (series, ""),
    };
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap();
        (name.to_owned(), value.trim_matches('"').to_owned())
    };
    let labels = labels.split(',').filter(|pair| !pair.is_empty()).map(pair).collect();
    Sample { name: name.to_owned(), labels, value: value.parse().unwrap() }
}

/// The values of one label in a family, in order.
pub(crate) fn values(samples: &[Sample], name: &str, label: &str) -> BTreeSet<String> {
    let of_family = samples.iter().filter(|sample| sample.name == name);
    of_family.filter_map(|sample| sample.labels.get(label).cloned()).collect()
}

/// The value of the one sample of `name` that carries all these labels. Panics unless there is exactly one.
pub(crate) fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    let carries =
        |sample: &Sample| labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|v| v == value));
    let found: Vec<_> = samples.iter().filter(|sample| sample.name == name && carries(sample)).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}");
    found[0].value
}
