//! Scenario: `spillway status` asks a gateway whose target is away, over its socket and over its admin port, in all its forms.
//! Guarantee: it tells what `/status` tells, to a terminal or a script, with the exit code that says whether data flows.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::support::gateway::{Gateway, Home};
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};
use crate::{Said, command, filled, send, spillway};

fn over_the_port(home: &Home, gateway: &Gateway, words: &str, token: &str) -> Said {
    let file = home.path().join("shown");
    std::fs::write(&file, token).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_spillway"));
    command.args(words.split(' ')).env("SPILLWAY_ADMIN", format!("http://{}", gateway.admin));
    command.arg("--token-file").arg(file).output().unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_page_shows_a_terminal_shows() {
    let mut home = Home::new();
    home.guard("open-sesame");
    let gateway = filled(&home, crate::Way::BesideAGateway, 3).await.unwrap();
    until("it is partitioned", seconds(60), || gateway.get("/status").1.contains("\"partitioned\"")).await;

    let said = spillway(&home, "status");
    assert_eq!(said.code, 1, "data does not flow: {said}");
    for words in [
        "partitioned for ",
        "no network target accepts",
        "hub",
        "away",
        "waiting 90 items",
        "lost 0",
        "traces",
        "accepted",
    ] {
        assert!(said.out.contains(words), "{words} is not in it: {said}");
    }
    assert!(!said.out.contains('\x1b'), "no colors where there is no terminal: {said}");
    let whole: Value = spillway(&home, "status --json").json();
    assert_eq!(
        (&whole["headline"]["state"], &whole["books"]["signals"]["logs"]["queued"]),
        (&"partitioned".into(), &30.into())
    );

    // Lines, as long as somebody reads them.
    let mut watching = command(&home, "status --watch").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    assert!(line.starts_with("partitioned for ") && line.contains("waiting 90 items"), "{line}");
    let pid = rustix::process::Pid::from_child(&watching);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(watching.wait().unwrap().code(), Some(0));

    let far = over_the_port(&home, &gateway, "status", "open-sesame");
    assert!(far.code == 1 && far.out.contains("partitioned for "), "{far}");
    let paused = over_the_port(&home, &gateway, "pause", "open-sesame");
    assert_eq!(
        (paused.code, paused.out.as_str()),
        (0, "delivery is paused, the doors go on taking data\n"),
        "{paused}"
    );
    let refused = over_the_port(&home, &gateway, "resume", "something else");
    assert!(refused.code == 64 && refused.err.contains("need the admin token"), "{refused}");
    let listed = over_the_port(&home, &gateway, "queue ls", "open-sesame");
    assert_eq!(listed.out.lines().filter(|line| line.contains("logs/")).count(), 3, "{listed}");

    gateway.kill();
    let gone = spillway(&home, "status");
    assert!(gone.code == 69 && gone.err.contains("no gateway answers"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_does_well_ends_it_with_0() {
    let hub = Hub::start().await;
    let home = Home::new();
    let gateway = home.start(&format!("targets: {{hub: {{protocol: otlp_http, endpoint: \"{}\"}}}}\n", hub.url()));
    send(&gateway, 0..2).await;
    until("all is delivered", seconds(60), || gateway.books("queued") == 0).await;
    let said = spillway(&home, "status").fine();
    assert!(said.out.starts_with("normal for ") && said.out.contains("takes data"), "{said}");
}
