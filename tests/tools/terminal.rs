//! Scenario: `spillway status --watch` on a real terminal, a small one and a large one, in color and without; then Ctrl-C.
//! Guarantee: each frame fits and has what counts; the terminal is left as it was.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::gateway::Home;
use crate::support::wait::{seconds, until};
use crate::{Way, filled, skip};

const PATIENCE: Duration = Duration::from_secs(60);

/// The command on a terminal of that size, by `script` of util-linux.
fn watch(home: &Home, rows: u16, columns: u16, no_color: &str) -> Child {
    let line = format!(
        "stty rows {rows} cols {columns}; exec '{}' status --watch --dir '{}'",
        env!("CARGO_BIN_EXE_spillway"),
        home.path().join("queue").display()
    );
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
    script.env("NO_COLOR", no_color).env("TERM", "xterm-256color");
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// The second frame, its lines without colors; and all that was written, to the end after Ctrl-C.
fn frame(mut watching: Child) -> (Vec<String>, String) {
    let mut out = watching.stdout.take().unwrap();
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    let began = Instant::now();
    while String::from_utf8_lossy(&said).matches("\x1b[J").count() < 2 {
        let read = out.read(&mut buffer).unwrap();
        assert!(read > 0 && began.elapsed() < PATIENCE, "{}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&buffer[..read]);
    }
    watching.stdin.take().unwrap().write_all(b"\x03").unwrap();
    out.read_to_end(&mut said).unwrap();
    assert_eq!(watching.wait().unwrap().code(), Some(0));
    let said = String::from_utf8(said).unwrap();
    let second = said.split("\x1b[H").nth(2).unwrap().split("\x1b[J").next().unwrap();
    let plain = |line: &str| {
        let pieces = line.trim_end_matches('\r').trim_end_matches("\x1b[K").split('\x1b');
        // Behind the first piece each begins with the rest of its color.
        pieces.enumerate().map(|(at, piece)| if at == 0 { piece } else { piece.split_once('m').unwrap().1 }).collect()
    };
    (second.trim_end().split('\n').map(plain).collect(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_fits_into_a_terminal() {
    if Command::new("script").arg("--version").output().is_err() {
        return skip::aloud("script is not installed (Debian's package bsdutils has it)");
    }
    let home = Home::new();
    let gateway = filled(&home, Way::BesideAGateway, 3).await.unwrap();
    until("it is partitioned", seconds(60), || gateway.get("/status").1.contains("\"partitioned\"")).await;

    let (small, said) = frame(watch(&home, 24, 80, ""));
    assert!(small.len() < 24 && small.iter().all(|line| line.chars().count() <= 80), "{small:#?}");
    for words in ["partitioned for ", "waiting 90 items", "away", "next probe in ", "[#", "off by", "  logs "] {
        assert!(small.iter().any(|line| line.contains(words)), "{words} is not in {small:#?}");
    }
    assert!(!small.iter().any(String::is_empty), "rows are scarce: {small:#?}");
    assert!(said.contains("\x1b[1;31mpartitioned\x1b[0m"), "{said:?}");
    assert!(said.trim_end().ends_with("\x1b[?7h\x1b[?25h\x1b[?1049l"), "{said:?}");

    let (large, said) = frame(watch(&home, 50, 200, "1"));
    assert!(large.len() < 50 && large.iter().any(String::is_empty), "with room it is set apart: {large:#?}");
    assert!(large.iter().any(|line| line.contains("lately")), "{large:#?}");
    assert!(!said.contains("\x1b[0m"), "no colors where they are not wanted: {said:?}");
}
