//! Scenario: the page is walked through with the tabulator, in light and dark, on a wide screen and on a phone's.
//! Guarantee: all that can be used is reached, has a name and shows that it has the focus; both themes can be chosen and read; nothing
//! is wider than the screen; no error is made, and nothing is asked for anywhere but at the gateway.

use crate::scene::Scene;
use crate::support::gateway::Home;
use crate::support::wait::seconds;

const TAB: &str = "\u{e004}";

/// Of every text that is seen, the least contrast with what lies under it (WCAG 2.2, 1.4.3: at least 4.5, large text 3).
const CONTRAST: &str = include_str!("contrast.js");

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_used_and_read_by_everybody() {
    let Some(scene) = Scene::open(Home::new()).await else { return };
    let page = &scene.browser;
    let load = scene.load(100, std::time::Duration::from_millis(50));
    page.sees("the chart is drawn", "return document.querySelector('.area.primary') !== null").await;

    let mut walked = Vec::new();
    for _ in 0..40 {
        page.press(TAB);
        let (role, name) = page.focused();
        if page.run("return document.activeElement === document.body") == true {
            break;
        }
        assert!(!name.is_empty(), "a {role} without a name, after {walked:?}");
        let outline = page.run("return getComputedStyle(document.activeElement).outlineStyle");
        assert_eq!(outline, "solid", "{name} does not show that it has the focus");
        walked.push(name);
    }
    for name in ["Skip to the state", "Colors: auto. Change", "Enter token", "1 min", "15 min", "Events", "metrics"] {
        assert!(walked.iter().any(|walked| walked == name), "{name} is not among {walked:?}");
    }

    page.run("document.querySelector('#plot').focus()");
    page.press("\u{e012}");
    page.sees("an arrow key reads a moment", "return document.querySelector('.tip').innerText.includes('coming in')")
        .await;
    page.press("\u{e00c}");
    page.sees("escape puts it away", "return document.querySelector('.tip').hidden").await;

    let ground = "return getComputedStyle(document.body).backgroundColor";
    page.prefers("light");
    let light = page.run(ground);
    assert_eq!(page.run(CONTRAST), serde_json::json!([]), "hard to read in light");
    page.prefers("dark");
    let dark = page.run(ground);
    assert_ne!(light, dark);
    assert_eq!(page.run(CONTRAST), serde_json::json!([]), "hard to read in dark");
    page.click("#theme");
    assert_eq!(page.run(ground), light, "chosen by hand it is light whatever the system says");
    page.click("#theme");
    page.prefers("light");
    assert_eq!(page.run(ground), dark);
    page.click("#theme");

    page.size(390, 844);
    page.sees(
        "the chart is as wide as the phone",
        "return document.querySelector('#plot svg').viewBox.baseVal.width <= 390",
    )
    .await;
    assert_eq!(page.run("return document.documentElement.scrollWidth <= innerWidth"), true, "wider than the screen");
    page.keep("phone");
    scene.assert_quiet();
    tokio::time::timeout(seconds(120), load.stop()).await.unwrap();
}
