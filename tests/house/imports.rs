//! Scenario: the `crate::` paths of every source file are read.
//! Guarantee: a part names only the parts that stand to its right in the architecture, and a library only where it may.

use crate::sources;

/// Part → the parts it may name. `config` means its sections: the whole `Config` is for app and cli alone.
const MAY_NAME: [(&str, &[&str]); 18] = [
    ("batch", &[]),
    ("units", &[]),
    ("tally", &[]),
    ("repeats", &[]),
    ("lib", &[]),
    ("files", &[]),
    ("fuzzed", &[]),
    ("page", &[]),
    ("otlp", &["batch", "fuzzed"]),
    ("config", &["otlp", "batch", "files", "fuzzed", "units"]),
    ("queue", &["batch", "config", "repeats", "tally", "units"]),
    ("target", &["otlp", "batch", "config", "files", "tally", "units"]),
    ("receive", &["otlp", "queue", "batch", "config", "files", "repeats", "tally", "units"]),
    ("deliver", &["queue", "target", "otlp", "batch", "config", "repeats", "tally", "units"]),
    ("observe", &["queue", "deliver", "receive", "page", "batch", "config", "repeats", "tally", "units"]),
    ("app", &["observe", "deliver", "receive", "target", "queue", "otlp", "batch", "config", "tally", "units"]),
    ("cli", &["app", "observe", "deliver", "receive", "target", "queue", "otlp", "batch", "config", "tally", "units"]),
    ("main", &["cli"]),
];

/// Library → how many files may name it, so that it can be exchanged in an afternoon.
const NAMED_IN: [(&str, usize); 4] = [("rocksdb::", 2), ("backoff::", 1), ("prometheus::", 2), ("reqwest::", 2)];

#[test]
fn a_part_names_only_what_stands_to_its_right() {
    let mut wrong = Vec::new();
    for source in sources::below("src") {
        let allowed = MAY_NAME.iter().find(|(part, _)| *part == source.part);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{} belongs to no known part", source.path.display()));
        for line in source.code() {
            for (at, name) in line.match_indices("crate::").chain(line.match_indices("spillway::")) {
                let part: String =
                    line[at + name.len()..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if part != source.part && !part.is_empty() && !allowed.contains(&part.as_str()) {
                    wrong.push(format!("{}: {}", source.path.display(), line.trim()));
                }
            }
            let whole = line.contains("config::Config") || line.contains("config::{Config,");
            if whole && !["app", "cli", "config", "main"].contains(&source.part.as_str()) {
                wrong.push(format!("{}: a part takes its section, not {}", source.path.display(), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "against the architecture:\n{}", wrong.join("\n"));
}

#[test]
fn a_library_that_may_be_exchanged_is_named_in_few_files() {
    let sources = sources::below("src");
    for (library, most) in NAMED_IN {
        let named: Vec<_> = sources
            .iter()
            .filter(|source| {
                source.code().any(|line| {
                    line.split(|c: char| !c.is_alphanumeric() && c != ':' && c != '_')
                        .any(|word| word.starts_with(library))
                })
            })
            .map(|source| source.path.display().to_string())
            .collect();
        assert!(named.len() <= most, "{library} is named in {named:?}, at most {most} files may");
    }
}
