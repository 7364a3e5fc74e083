//! Scenario: under load the hub goes away, then the fallback, until the queue is full; then both come back.
//! Guarantee: the page says each state as it comes, shows which target is away and what waits, and in the end that nothing is lost.

use crate::scene::Scene;
use crate::support::gateway::Home;
use crate::support::wait::{seconds, until};

/// Three points of the chart at which the fallback had the headline.
const FALLBACK_DRAWN: &str =
    "return (document.querySelector('.stretch.tone-on_fallback')?.getAttribute('width') ?? 0) >= 60";

#[tokio::test(flavor = "multi_thread")]
async fn each_state_is_seen_as_it_comes() {
    let mut home = Home::new();
    home.queue = "max_size: 40MiB, memory_limit: 64MiB".to_owned();
    let Some(mut scene) = Scene::open(home).await else { return };
    let pause = std::time::Duration::from_millis(100);
    let load = scene.load(2_000, pause);
    let page = &scene.browser;

    page.sees("data comes in", "return /[1-9]/.test(document.querySelector('.station .big').innerText)").await;
    page.sees(
        "the chart has a line",
        "return (document.querySelector('.line.accepted')?.getAttribute('d') ?? '').includes('L')",
    )
    .await;
    assert_eq!(page.text("#state"), "Normal");
    assert!(page.text("[data-target=hub] .pill").contains("takes data"), "{}", page.text("[data-target=hub]"));
    assert!(page.text("[data-target=backup] .pill").contains("stands by"), "{}", page.text("[data-target=backup]"));
    page.picture("normal").await;

    scene.hub.take_away().await;
    page.sees_state("on_fallback").await;
    page.sees(
        "the fallback takes data",
        "return document.querySelector('[data-target=backup] .pill').innerText === 'takes data'",
    )
    .await;
    page.sees(
        "the hub is away",
        "return document.querySelector('[data-target=hub]').classList.contains('tone-refusing')",
    )
    .await;
    page.sees(
        "what is owed is told",
        "return document.querySelector('.books').innerText.includes('owed to the primary')",
    )
    .await;
    assert!(page.text(".headline").contains("to backup instead of hub"), "{}", page.text(".headline"));
    for words in ["Failing", "Next probe"] {
        assert!(page.text("[data-target=hub]").contains(words), "{words}: {}", page.text("[data-target=hub]"));
    }
    page.sees("the chart shows the fallback", FALLBACK_DRAWN).await;
    page.prefers("dark");
    page.picture("on_fallback").await;

    scene.backup.take_away().await;
    page.sees_state("partitioned").await;
    page.sees("no target takes data", "return document.querySelectorAll('.wire.flowing').length === 1").await;
    page.prefers("light");
    page.picture("partitioned").await;

    let flood = scene.load(400_000, pause);
    page.sees_state("refusing").await;
    page.sees(
        "the clients are turned away",
        "return document.querySelector('.stations').innerText.includes('turned away')",
    )
    .await;
    page.picture("refusing").await;
    let (mut acknowledged, flooded) = (load.stop().await, flood.stop().await);
    for (signal, ids) in flooded {
        acknowledged.entry(signal).or_default().extend(ids);
    }

    scene.hub.bring_back().await;
    page.sees_state("replaying").await;
    page.prefers("dark");
    page.picture("replaying").await;
    scene.backup.bring_back().await;
    until("the backlog has drained", seconds(60), || scene.gateway.books("queued") == 0).await;
    page.sees_state("normal").await;
    page.sees("the ledger shows the end", "return document.querySelector('.figures').innerText.includes('0 items')")
        .await;
    assert_eq!(page.text("[data-lost]"), "0 lost");
    let timeline = page.text(".events");
    for word in ["traffic goes from hub to backup", "Partitioned", "Refusing", "Replaying", "Normal"] {
        assert!(timeline.contains(word), "{word} is not in the timeline:\n{timeline}");
    }

    // Who comes later sees how it began.
    page.open(&format!("http://{}/", scene.gateway.admin));
    page.sees("the whole outage is in the chart", "return ['normal', 'on_fallback', 'partitioned', 'refusing', 'replaying'].every((state) => document.querySelector(`.stretch.tone-${state}`))").await;
    scene.assert_quiet();
    // A full queue gives up its claim to what the fallback has: with one of the two is everything.
    let lost = acknowledged.iter().flat_map(|(signal, ids)| {
        let (hub, backup) = (scene.hub.copies(*signal), scene.backup.copies(*signal));
        ids.iter().filter(move |id| !hub.contains_key(id) && !backup.contains_key(id))
    });
    assert_eq!(lost.count(), 0, "items are with nobody");
    scene.gateway.assert_balanced();
}
