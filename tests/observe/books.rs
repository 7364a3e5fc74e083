//! Scenario: load goes on while recounts agree, disagree and fail.
//! Guarantee: the imbalance reads 0 under load, and what a recount found missing as long as no other one finds it.

use spillway::batch::Signal;
use spillway::queue::ledger::Ledger;
use spillway::queue::snapshot::Recount;

use crate::exposition::{self, value};
use crate::support::Gateway;

async fn imbalance(gateway: &Gateway) -> f64 {
    let samples = exposition::read(&gateway.get("/metrics").await.body);
    value(&samples, "spillway_books_imbalance_items", &[("signal", "logs")])
}

#[tokio::test]
async fn the_books_read_zero_under_load_and_not_when_the_store_is_off() {
    let gateway = Gateway::running().await;
    let then = Ledger { accepted: 100, queued: 40, delivered: 60, ..Ledger::default() };
    let now = Ledger { accepted: 5000, queued: 3, delivered: 4997, ..Ledger::default() };
    gateway.parts().queue.signals[Signal::Logs.index()].books = now;
    let agrees = Recount { items: 40, books: then, ..Recount::default() };
    gateway.parts().recount = Ok([agrees; 3]);
    assert_eq!(gateway.get("/status?recount=true").await.status, 200);
    assert_eq!(imbalance(&gateway).await, 0.0);
    assert_eq!(gateway.status().await["books"]["recount"]["items"]["logs"], 40);

    gateway.parts().recount = Ok([Recount { items: 33, ..agrees }; 3]);
    gateway.get("/status?recount=true").await;
    assert_eq!(imbalance(&gateway).await, 7.0);
    assert_eq!(gateway.status().await["books"]["imbalance_items"], 21);

    gateway.parts().recount = Err("the store is closed".to_owned());
    gateway.get("/status?recount=true").await;
    assert_eq!(imbalance(&gateway).await, 7.0, "a recount that failed clears nobody");
    let status = gateway.status().await;
    assert_eq!(status["books"]["recount_error"], "the store is closed");

    gateway.parts().recount = Ok([agrees; 3]);
    gateway.get("/status?recount=true").await;
    assert_eq!(imbalance(&gateway).await, 0.0);
}
