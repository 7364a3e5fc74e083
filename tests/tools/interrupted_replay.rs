//! Scenario: in the middle of a replay the tool is killed; in the next one the gateway; the last is offline. The first two end at
//! the worst moment: a part is in the queue, and the tool does not know it.
//! Guarantee: each goes on behind what was taken: in the end every item is in the queue, once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use spillway::batch::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::gateway::Home;
use crate::support::items;
use crate::support::wait::seconds;
use crate::{NOBODY, Said, books, command, numbers, spillway};

/// Lines of the file, an item each: a dozen parts.
const LINES: u64 = 3000;

/// A socket before the gateway's that keeps back the answer to one request, and takes no other then.
struct Between {
    socket: PathBuf,
    holds: Arc<Notify>,
    carrying: JoinHandle<()>,
}

impl Between {
    /// Lets so many requests through with their answers.
    fn after(answered: usize, home: &Path) -> Between {
        let socket = home.join(format!("after-{answered}.sock"));
        let (listener, holds) = (UnixListener::bind(&socket).unwrap(), Arc::new(Notify::new()));
        let (gateway, told) = (home.join("queue/admin.sock"), Arc::clone(&holds));
        let carrying = tokio::spawn(async move {
            let mut requests = 0;
            loop {
                let (mut tool, _) = listener.accept().await.unwrap();
                let Ok(first) = tool.read_u8().await else { continue }; // it only looks whether somebody is there
                let mut gateway = UnixStream::connect(&gateway).await.unwrap();
                gateway.write_u8(first).await.unwrap();
                requests += 1;
                if requests <= answered {
                    copy_bidirectional(&mut tool, &mut gateway).await.unwrap();
                    continue;
                }
                let (mut asks, (mut answers, mut asked)) = (tool, gateway.split());
                tokio::select! {
                    answer = answers.read_u8() => drop(answer.unwrap()),
                    ended = copy(&mut asks, &mut asked) => panic!("the tool did not wait for its answer: {ended:?}"),
                }
                told.notify_one();
                return std::future::pending().await;
            }
        });
        Between { socket, holds, carrying }
    }

    async fn holds(&self) {
        timeout(seconds(60), self.holds.notified()).await.expect("so many parts come");
    }

    async fn end(self) {
        self.carrying.abort();
        let _ = self.carrying.await;
    }
}

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
    let through = |between: &Between| {
        let mut replay = command(&home, &format!("queue replay all.jsonl --socket {}", between.socket.display()));
        replay.stderr(Stdio::piped()).spawn().unwrap()
    };

    // The first request asks how far the file came.
    let between = Between::after(1 + 1, home.path());
    let mut killed = through(&between);
    between.holds().await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    let first = gateway.books("imported");
    assert!((1..LINES).contains(&first), "it was to be killed in the middle: {first}");

    let between = Between::after(1 + 2, home.path());
    let cut_off = through(&between);
    between.holds().await;
    gateway.kill();
    between.end().await;
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
