//! Scenario: somebody looks at the page without the token, with a wrong one, and with the right one, and gives an order.
//! Guarantee: without the right token there is not one button for orders; with it they work, each after a question; the token is in
//! no address, and nothing is kept once it is to be forgotten.

use crate::scene::Scene;
use crate::support::gateway::Home;

const ENTER: &str = "\u{e007}";

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_for_who_has_the_token() {
    let mut home = Home::new();
    home.guard("open-sesame\n");
    let Some(scene) = Scene::open(home).await else { return };
    let page = &scene.browser;
    assert_eq!(page.count("[data-command]"), 0, "no token, no buttons");

    page.click("#token");
    page.press("open-sesamE");
    page.press(ENTER);
    page.sees(
        "the wrong one is refused",
        "return document.querySelector('.refusal').innerText.includes('not the token')",
    )
    .await;
    assert_eq!(page.count("[data-command]"), 0);
    page.press("open-sesame");
    page.press(ENTER);
    page.sees("the buttons are there", "return document.querySelector('[data-command=pause]') !== null").await;
    page.complaints(); // of the answer 401, as it should be

    page.click("[data-target=backup] [data-command=pin]");
    assert!(page.text("#dialog").contains("Pin: backup"), "{}", page.text("#dialog"));
    page.press("\u{e00c}");
    page.sees("escape closes the question", "return !document.querySelector('#dialog').open").await;
    page.click("[data-command=pause]");
    page.click("#dialog button.primary");
    page.sees_state("paused").await;
    page.sees(
        "what was done is told",
        "return document.querySelector('#said').innerText.startsWith('Delivery is paused')",
    )
    .await;
    page.picture("paused").await;
    page.click("[data-command=resume]");
    page.click("#dialog button.primary");
    page.sees_state("normal").await;

    page.run("location.reload()");
    page.sees("a reload keeps it", "return document.querySelector('[data-command=pause]') !== null").await;
    page.sees("and the events", "return document.querySelector('#link')?.innerText === 'live'").await;
    page.click("#token");
    page.sees("forgotten, the buttons are gone", "return document.querySelector('[data-command]') === null").await;
    assert_eq!(page.run("return sessionStorage.length"), 0);
    assert!(!page.asked_for().iter().any(|url| url.contains("sesame")), "the token was in an address");
    assert_eq!(page.complaints(), Vec::<String>::new());
}
