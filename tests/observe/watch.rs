//! Scenario: nobody asks for anything, and time passes.
//! Guarantee: the parts are looked at within a second, the queue is recounted at the start and every five minutes.

use std::time::Duration;

use spillway::observe::{Sources, State};
use spillway::queue::snapshot::Recount;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::support::{DEADLINE, Gateway};

#[tokio::test(start_paused = true)]
async fn the_watch_looks_and_recounts_by_itself() {
    let gateway = Gateway::recovering().await;
    let (counted, mut counts) = mpsc::unbounded_channel();
    let (looked, mut looks) = mpsc::unbounded_channel();
    let deliver = gateway.sources().deliver;
    let sources = Sources {
        recount: Box::new(move || {
            counted.send(()).unwrap();
            Box::pin(async { Ok([Recount::default(); 3]) })
        }),
        deliver: Box::new(move || {
            let _ = looked.send(());
            deliver()
        }),
        ..gateway.sources()
    };
    let (observer, stopped) = (gateway.observer.clone(), gateway.stop.subscribe());
    let watch = tokio::spawn(async move { observer.watch(stopped).await });
    assert_eq!(gateway.observer.headline().state, State::Refusing);

    gateway.observer.recovered(sources);
    let start = Instant::now();
    // One look is over when the next one begins.
    for _ in 0..2 {
        tokio::time::timeout(DEADLINE, looks.recv()).await.unwrap().unwrap();
    }
    assert!(start.elapsed() <= Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(gateway.observer.headline().state, State::Normal);

    for _ in 0..3 {
        tokio::time::timeout(Duration::from_secs(301), counts.recv()).await.unwrap().unwrap();
    }
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(600) && took < Duration::from_secs(605), "{took:?}");
    gateway.stop.send_replace(true);
    watch.await.unwrap();
}
