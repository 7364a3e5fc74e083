//! The table of what was found, and the page in the docs that has to be the same.

use std::any::Any;
use std::fmt::Write;
use std::path::Path;

use tokio::task::JoinError;

use crate::lines::Line;
use crate::peer::{Carried, Way};

const INTRODUCTION: &str = "\
# Conformance

OTLP 1.11.0, line by line: M must, S should. This page is written by `UPDATE_DOCS=1 cargo test --test conformance`, which asks the doors over
gRPC, HTTP/protobuf and HTTP/JSON, plain, gzip and zstd, looks into the queue behind them, and fails where an answer or this page is
another. A cell names the compressions with which a line was asked and held; `–` means that it does not concern that way. What takes an
outage, a load or a client's part is held by the tests that are named, which the same run looks for.

Any other server can be asked too, and is judged by its answers alone:

```sh
tests/conformance/run --grpc 127.0.0.1:4317 --http 127.0.0.1:4318
```

";

/// What was found of one line.
pub(crate) struct Outcome {
    pub(crate) line: &'static Line,
    pub(crate) results: Vec<(Way, Result<(), String>)>,
}

impl Outcome {
    /// Where it does not hold, and why.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (Way, &str)> {
        self.results.iter().filter_map(|(way, result)| Some((*way, result.as_ref().err()?.as_str())))
    }

    fn cell(&self, by: Carried) -> String {
        let asked = self.results.iter().filter(|(way, _)| way.by == by);
        let words: Vec<_> = asked
            .map(|(way, result)| format!("{}{}", if result.is_ok() { "" } else { "**not** " }, way.encoding.as_str()))
            .collect();
        if words.is_empty() { "–".to_owned() } else { words.join(" ") }
    }
}

/// How many cells hold and do not.
pub(crate) fn count(outcomes: &[Outcome]) -> (usize, usize) {
    let results = outcomes.iter().flat_map(|outcome| &outcome.results);
    let (passed, failed): (Vec<_>, Vec<_>) = results.partition(|(_, result)| result.is_ok());
    (passed.len(), failed.len())
}

/// What a check said at its end.
pub(crate) fn words(error: JoinError) -> String {
    let panic: Box<dyn Any + Send> = error.into_panic();
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic").replace('\n', " ").chars().take(300).collect()
}

/// The lines and what was found.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let mut page =
        String::from("| line | | requirement | gRPC | protobuf | JSON | tests |\n|---|---|---|---|---|---|---|\n");
    for outcome in outcomes {
        let Line { id, level, text, tests, .. } = outcome.line;
        let [grpc, protobuf, json] = [Carried::Grpc, Carried::Protobuf, Carried::Json].map(|by| outcome.cell(by));
        let tests: Vec<_> = tests.iter().map(|(file, name)| format!("{file}: `{name}`")).collect();
        writeln!(page, "| {id} | {level} | {text} | {grpc} | {protobuf} | {json} | {} |", tests.join("<br>")).unwrap();
    }
    page
}

/// Holds the page in the docs to what was found, and the tests that it names to those that there are.
pub(crate) fn hold(outcomes: &[Outcome]) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (file, name) in outcomes.iter().flat_map(|outcome| outcome.line.tests) {
        let source = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        if !source.contains(&format!("fn {name}(")) {
            return Err(format!("{file} has no test {name}"));
        }
    }
    if let Some(bare) = outcomes
        .iter()
        .find(|outcome| outcome.results.is_empty() && outcome.line.tests.is_empty() && outcome.line.note.is_empty())
    {
        return Err(format!("nothing holds {}", bare.line.id));
    }
    let mut page = INTRODUCTION.to_owned() + &table(outcomes) + "\n## Deviations and remarks\n\n";
    for line in outcomes.iter().map(|outcome| outcome.line).filter(|line| !line.note.is_empty()) {
        writeln!(page, "- **{}**: {}", line.id, line.note).unwrap();
    }
    let path = root.join("docs/conformance.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).map_err(|error| error.to_string())?;
    }
    match std::fs::read_to_string(&path).unwrap_or_default() == page {
        true => Ok(()),
        false => {
            Err("docs/conformance.md is not what was found: UPDATE_DOCS=1 cargo test --test conformance".to_owned())
        }
    }
}
