//! Scenario: `spillway demo --json`, in which the hub is taken away and brought back.
//! Guarantee: it ends with exit code 0 and a ledger: nothing lost, something replayed, the fallback took over.

use std::process::Command;

use serde_json::Value;

#[test]
fn the_demo_ends_with_a_clean_ledger() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_spillway")).args(["demo", "--seconds", "12", "--json"]).output().unwrap();
    let (out, story) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}\n{story}");
    let ledger: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    let figure = |name: &str| ledger[name].as_u64().unwrap_or_else(|| panic!("no {name} in {ledger}"));
    assert_eq!(figure("lost") + figure("missing_at_primary") + figure("queued"), 0, "{ledger}");
    assert!(figure("acknowledged") > 1000, "{ledger}");
    assert!(figure("delivered_fallback") > 0 && figure("replayed_to_primary") > 0, "{ledger}\n{story}");
    assert!(figure("delivered_primary") >= figure("acknowledged"), "{ledger}");
}
