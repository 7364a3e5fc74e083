//! Scenario: a gateway with four targets, the largest chain that is expected, is scraped.
//! Guarantee: below 2 000 series. How long it takes is printed: it should be below 5 ms, which no test may depend on.

use std::time::Instant;

use crate::example;
use crate::exposition;
use crate::support::Gateway;

#[tokio::test]
async fn four_targets_make_less_than_two_thousand_series() {
    let gateway = Gateway::running().await;
    let names = ["hub", "hub-west", "direct", "disk"];
    let mut deliver = example::deliver();
    deliver.targets = names.iter().map(|name| example::target(name, *name == "hub", *name == "disk")).collect();
    deliver.chains = [example::chain(&names), example::chain(&names), example::chain(&names)];
    gateway.parts().deliver = deliver;
    let series = exposition::read(&gateway.observer.scrape().unwrap()).len();
    assert!(series < 2_000, "{series} series");
    assert!(series > 500, "{series} series: something is missing");

    let scrapes = 50;
    let started = Instant::now();
    for _ in 0..scrapes {
        gateway.observer.scrape().unwrap();
    }
    println!("{series} series, {:?} a scrape", started.elapsed() / scrapes);
}
