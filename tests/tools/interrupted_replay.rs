//! Scenario: in the middle of a replay the tool is killed; in the next one the gateway; the last is offline.
//! Guarantee: each goes on behind what was taken: in the end every item is in the queue, once.

use std::fs;
use std::process::Stdio;

use spillway::batch::Signal;

use crate::support::gateway::Home;
use crate::support::items;
use crate::support::wait::{seconds, until};
use crate::{NOBODY, Said, books, command, numbers, spillway};

/// Lines of the file, an item each: some seconds of work.
const LINES: u64 = 60_000;

#[tokio::test]
async fn it_goes_on_where_it_was() {
    let home = Home::new();
    let mut lines = Vec::new();
    for id in 0..LINES {
        let signal = Signal::ALL[(id % 3) as usize];
        spillway::otlp::json::write_json_line(signal, &items::request(signal, id..id + 1), &mut lines).unwrap();
    }
    fs::write(home.path().join("all.jsonl"), &lines).unwrap();
    let gateway = home.start(NOBODY);
    let start = || command(&home, "queue replay all.jsonl").stderr(Stdio::piped()).spawn().unwrap();

    let mut killed = start();
    until("a part is brought in", seconds(60), || gateway.books("imported") > 0).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    let first = gateway.books("imported");
    assert!((1..LINES).contains(&first), "it was to be killed in the middle: {first}");

    let cut_off = start();
    // One part of the one that was killed may have been under way.
    let (mut parts, mut last) = (0, first);
    until("another part is brought in", seconds(60), || {
        let imported = gateway.books("imported");
        parts += u32::from(std::mem::replace(&mut last, imported) < imported);
        parts == 2
    })
    .await;
    gateway.kill();
    let said = Said::from(cut_off.wait_with_output().unwrap());
    assert_eq!(said.code, 69, "{said}");
    assert!(said.err.contains("the same command goes on"), "{said}");
    let second = books(&home, "imported");
    assert!((first + 1..LINES).contains(&second), "it was to be cut off in the middle: {second}");

    let said = spillway(&home, "queue replay all.jsonl --json").fine().json();
    assert_eq!(said["taken_before"], second, "{said}");
    assert_eq!(books(&home, "imported"), LINES);
    let all: Vec<_> = {
        let mut all: Vec<_> = (0..LINES).map(|id| (Signal::ALL[(id % 3) as usize], id)).collect();
        all.sort_unstable();
        all
    };
    assert!(numbers(&spillway(&home, "queue export").fine().out) == all, "an item is missing, or there twice");
}
