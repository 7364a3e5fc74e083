//! Scenario: the gateway is killed while its page is open, and started again at the same address.
//! Guarantee: the page says that it lost the gateway and what it shows is old, and is live again by itself afterwards.

use crate::scene::Scene;
use crate::support::gateway::Home;

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_gateway_is_told_and_found_again() {
    let Some(scene) = Scene::open(Home::new()).await else { return };
    let Scene { browser: page, gateway, mut home, hub, backup } = scene;
    page.sees("it is live", "return document.querySelector('#link').innerText === 'live'").await;
    let admin = gateway.admin;
    gateway.kill();
    page.sees(
        "it says that it lost the gateway",
        "return document.querySelector('#link').innerText === 'connection lost'",
    )
    .await;
    assert!(page.text(".notice").contains("does not answer"), "{}", page.text(".notice"));
    assert_eq!(page.count(".sections.stale"), 1, "what is shown is shown as old");

    home.address = admin.to_string();
    let config = crate::scene::config(&hub, &backup);
    let _gateway = home.start(&config);
    page.sees(
        "it is live again",
        "return document.querySelector('#link').innerText === 'live' && !document.querySelector('.notice')",
    )
    .await;
    page.sees_state("normal").await;
    assert_eq!(page.count(".sections.stale"), 0);
}
