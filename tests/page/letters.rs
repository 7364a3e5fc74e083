//! Scenario: the hub refuses one batch for what is in it and takes all others, while somebody looks; later it takes that one too.
//! Guarantee: the page says that there is a dead letter, and with the token which one, by whom it was refused and in what words; nothing
//! counts as lost; once the letter was replayed it is gone from the page.

use std::process::Command;

use spillway::batch::Signal;

use crate::scene::Scene;
use crate::support::client::{Client, Transport};
use crate::support::gateway::Home;

/// Far from the numbers of the load.
const POISON: u64 = 1 << 50;

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_seen_and_looked_into() {
    let mut home = Home::new();
    home.guard("open-sesame\n");
    let Some(scene) = Scene::open(home).await else { return };
    let page = &scene.browser;
    assert!(page.text(".letters").contains("Nothing was refused for good"), "{}", page.text(".letters"));

    scene.hub.detests(Signal::Logs, POISON + 1);
    let load = scene.load(100, std::time::Duration::from_millis(100));
    assert!(Client::of(Transport::Http, scene.gateway.http).send(Signal::Logs, POISON..POISON + 3).await);
    page.sees("there is a letter", "return document.querySelector('.letters .pill').innerText === '1 to look into'")
        .await;
    assert_eq!(page.count(".letters li"), 0, "which one it is, is told to who has the token");
    assert!(page.text(".books").contains("Dead letter: 3 items"), "{}", page.text(".books"));
    assert_eq!(page.text("[data-lost]"), "0 lost");

    page.click("#token");
    page.press("open-sesame\u{e007}");
    page.sees("which one it is", "return document.querySelector('.letters li') !== null").await;
    let letter = page.text(".letters li");
    for words in ["logs/", "3 items", "hub HTTP 400"] {
        assert!(letter.contains(words), "{words} is not in {letter}");
    }

    scene.hub.forgives();
    let mut replay = Command::new(env!("CARGO_BIN_EXE_spillway"));
    replay.args(["dead", "replay", "--all", "--dir"]).arg(scene.home.path().join("queue"));
    let replayed = replay.output().unwrap();
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
    page.sees("it is gone", "return document.querySelector('.letters .pill').innerText === 'none'").await;
    page.sees("and has no line", "return document.querySelector('.letters li') === null").await;
    let acknowledged = load.stop().await;
    crate::support::wait::until("the hub has everything", crate::support::wait::seconds(60), || {
        let logs = scene.hub.copies(Signal::Logs);
        scene.hub.missing(&acknowledged).is_empty() && (POISON..POISON + 3).all(|id| logs.contains_key(&id))
    })
    .await;
    scene.assert_quiet();
    scene.gateway.assert_balanced();
}
