//! Scenario: `spillway check` on every file in `config/`, as a newcomer would run them.
//! Guarantee: each is right as it stands.

use std::fs;
use std::path::Path;

use crate::{err, spillway};

#[test]
fn every_example_is_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for file in fs::read_dir(root.join("config")).unwrap() {
        let file = file.unwrap().path();
        let output = spillway(root, &["check", "--config", file.to_str().unwrap()])
            .env("CLUSTER_NAME", "c1")
            .env("DEMO_DIRECTORY", "/tmp/demo")
            .env("DEMO_HUB", "http://127.0.0.1:1")
            .env("DEMO_FALLBACK", "http://127.0.0.1:2")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}: {}", file.display(), err(&output));
        seen += 1;
    }
    assert!(seen >= 4, "only {seen} examples");
}
