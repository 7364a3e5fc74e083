//! What is shipped, as text: the alerts of the rule files, read line by line in the one layout that they have.

use std::path::{Path, PathBuf};

/// A rule that alerts.
#[derive(Debug)]
pub(crate) struct Alert {
    pub(crate) name: String,
    /// Everything from its name to the next rule.
    pub(crate) text: String,
}

/// The folder of the rules.
pub(crate) fn folder() -> PathBuf {
    root().join("deploy/prometheus")
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Rule files, or their unit tests.
pub(crate) fn files(tests: bool) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with("_test.yaml") == tests);
    files.sort();
    assert!(files.len() >= 2, "{files:?}");
    files
}

/// The text of all of them.
pub(crate) fn text(files: &[PathBuf]) -> String {
    files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// Every rule that alerts; one name may have several.
pub(crate) fn alerts() -> Vec<Alert> {
    let text = text(&files(false));
    let mut alerts = Vec::<Alert>::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(name) = line.trim().strip_prefix("- alert: ") {
            alerts.push(Alert { name: name.to_owned(), text: String::new() });
            inside = true;
        } else if line.trim_start().starts_with("- record: ") {
            inside = false;
        } else if let (true, Some(alert)) = (inside, alerts.last_mut()) {
            alert.text += line;
            alert.text.push('\n');
        }
    }
    alerts
}
