//! Scenario: something is to be removed, at no terminal, and at one where the answer is no, nothing, and yes.
//! Guarantee: nothing is removed without a yes, and the question says how much it is.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::gateway::Home;
use crate::{Said, Way, books, filled, skip, spillway};

#[tokio::test]
async fn nothing_is_removed_without_a_yes() {
    let home = Home::new();
    let _gateway = filled(&home, Way::BesideAGateway, 2).await;
    let said = spillway(&home, "queue purge --all");
    assert_eq!(said.code, 64, "{said}");
    assert!(said.err.contains("6 batches (60 items") && said.err.contains("--yes"), "{said}");
    assert_eq!(books(&home, "queued"), 60);

    if !Path::new("/usr/bin/script").exists() {
        return skip::aloud("questions at a terminal need script(1)");
    }
    for (answer, code, queued) in [("n\n", 1, 60), ("\n", 1, 60), ("y\n", 0, 0)] {
        let said = at_a_terminal(&home, "queue purge --all", answer);
        assert_eq!(said.code, code, "{answer:?}: {said}");
        assert!(said.out.contains("This removes 6 batches (60 items") && said.out.contains("[y/N]"), "{said}");
        assert_eq!(books(&home, "queued"), queued, "{answer:?}");
    }
}

/// Runs it at a terminal of its own, where `answer` is typed.
fn at_a_terminal(home: &Home, words: &str, answer: &str) -> Said {
    let line = format!("{} {words} --dir {}/queue", env!("CARGO_BIN_EXE_spillway"), home.path().display());
    let mut command = Command::new("/usr/bin/script");
    command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    child.stdin.as_ref().unwrap().write_all(answer.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}
