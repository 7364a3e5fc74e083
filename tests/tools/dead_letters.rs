//! Scenario: a hub refuses two batches for good; they are listed, shown, copied, left by a drain, sent again when it has changed its
//! mind, and removed, beside the gateway and offline.
//! Guarantee: each letter tells its story and its data; one that is sent again arrives and is dead no more; one that is removed
//! stays counted; nothing is removed unasked.

use spillway::batch::{Encoding, Signal};

use crate::sink::{Reply, Sink};
use crate::support::client::{Client, Transport};
use crate::support::gateway::Home;
use crate::support::items;
use crate::support::wait::{seconds, until};
use crate::{books, numbers, read, spillway};

/// Numbers of the items that the hub does not like.
const REFUSED: [u64; 2] = [666, 667];

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_looked_at_sent_again_and_removed() {
    let hub = Sink::start().await;
    hub.answer(|seen| match REFUSED.iter().any(|id| holds(&seen.body, *id)) {
        true => Reply::Http(400, Vec::new(), b"too evil".to_vec()),
        false => Reply::usual(seen),
    });
    let home = Home::new();
    let gateway = home.start(&format!(
        "targets: {{hub: {{protocol: otlp_http, endpoint: \"{}\"}}}}\nchain: {{primary: hub}}\n",
        hub.url()
    ));
    let client = Client::of(Transport::Http, gateway.http);
    let send = async |id: u64| {
        client.send_body(Signal::Logs, Encoding::Identity, &items::request(Signal::Logs, id..id + 1)).await;
    };
    send(1).await;
    for id in REFUSED {
        send(id).await;
    }
    let mut good = 1000;
    while gateway.books("dead") < 2 {
        assert!(good < 1500, "they do not die:\n{}", gateway.log());
        send(good).await; // a witness
        good += 1;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }

    let letters = spillway(&home, "dead ls --json").fine().list();
    let story = |letter: &serde_json::Value| {
        ["signal", "reason", "target", "message"].map(|key| letter[key].as_str().unwrap().to_owned())
    };
    assert_eq!(
        letters.iter().map(story).collect::<Vec<_>>(),
        vec![["logs", "refused", "hub", "too evil"].map(str::to_owned); 2]
    );
    let ids: Vec<_> = letters.iter().map(|letter| format!("logs/{}", letter["key"].as_str().unwrap())).collect();
    let table = spillway(&home, "dead ls").fine().out;
    assert!(table.contains(&ids[0]) && table.contains("HTTP 400: too evil"), "{table}");
    for (words, listed) in [("--reason too_large", 0), ("--target hub --reason refused", 2), ("--signal traces", 0)] {
        assert_eq!(spillway(&home, &format!("dead ls --json {words}")).fine().list().len(), listed, "{words}");
    }
    let shown = spillway(&home, &format!("dead show {}", ids[0])).fine().json();
    assert_eq!(shown["status"], "HTTP 400");
    let record = &shown["data"]["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
    assert_eq!(record["body"]["stringValue"], "record 666", "{shown}");

    hub.answer(Reply::usual);
    spillway(&home, &format!("dead replay {}", ids[0])).fine();
    until("it arrives", seconds(20), || {
        hub.seen().iter().any(|seen| holds(&seen.body, 666) && gateway.books("queued") == 0)
    })
    .await;
    assert_eq!(gateway.books("dead"), 1, "it was counted as dead and is no more");
    let again = spillway(&home, &format!("dead replay {}", ids[0]));
    assert!(again.code == 1 && again.err.contains("no dead letter"), "{again}");
    gateway.assert_balanced();
    for (words, code) in [("", 1), ("--leave-dead=kept.jsonl", 0), ("--leave-dead=kept.jsonl", 64), ("--leave-dead", 0)]
    {
        let said = spillway(&home, &format!("drain --reopen --timeout 20s {words}"));
        assert_eq!(said.code, code, "{words}: {said}");
        assert_eq!(gateway.get("/readyz").0, 200, "{words}");
    }
    assert_eq!(numbers(&read(&home.path().join("kept.jsonl"))), [(Signal::Logs, 667)]);
    assert!(gateway.stop().success());

    spillway(&home, "dead export dead.jsonl").fine();
    assert_eq!(numbers(&read(&home.path().join("dead.jsonl"))), [(Signal::Logs, 667)]);
    for (words, code) in
        [("dead purge --all", 64), ("dead purge", 64), ("dead replay", 64), ("dead show logs/99999", 1)]
    {
        let said = spillway(&home, words);
        assert_eq!(said.code, code, "{words}: {said}");
    }
    assert_eq!(spillway(&home, "dead ls --json").fine().list().len(), 1, "nothing was removed unasked");
    spillway(&home, "dead purge --all --yes").fine();
    assert_eq!(spillway(&home, "dead ls --json").fine().list().len(), 0);
    assert_eq!(books(&home, "dead"), 1, "it stays counted");
    spillway(&home, "queue replay dead.jsonl").fine();
    assert_eq!((books(&home, "queued"), books(&home, "imported")), (1, 1));
}

fn holds(body: &[u8], id: u64) -> bool {
    let text = format!("record {id}");
    body.windows(text.len()).any(|window| window == text.as_bytes())
}
