//! Scenario: the lines of every source file are counted.
//! Guarantee: none has more than 600, nine in ten at most 350, the median at most 150.

use crate::sources;

#[test]
fn files_stay_small() {
    let mut lengths: Vec<_> =
        sources::below("src").into_iter().map(|source| (source.text.lines().count(), source.path)).collect();
    lengths.sort();
    let (longest, path) = lengths.last().unwrap();
    assert!(*longest <= 600, "{} has {longest} lines: two ideas", path.display());
    let (median, _) = lengths[lengths.len() / 2];
    assert!(median <= 150, "the median file has {median} lines");
    let (ninth, path) = &lengths[lengths.len() * 9 / 10];
    assert!(*ninth <= 350, "one file in ten is longer than 350 lines, from {} ({ninth}) on", path.display());
}
