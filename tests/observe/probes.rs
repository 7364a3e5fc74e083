//! Scenario: a process recovers, runs, is full, poisoned, stops; its targets are all dead throughout.
//! Guarantee: liveness never fails, readiness only while recovering, poisoned or stopping, start only while recovering.

use spillway::deliver::snapshot::BreakerState;
use spillway::queue::snapshot::StoreState;

use crate::support::Gateway;

async fn probes(gateway: &Gateway) -> (u16, u16, u16) {
    let (live, ready) = (gateway.get("/livez").await, gateway.get("/readyz").await);
    (live.status, ready.status, gateway.get("/startupz").await.status)
}

#[tokio::test]
async fn probes_tell_the_process_and_never_its_targets() {
    let gateway = Gateway::recovering().await;
    for target in &mut gateway.parts().deliver.targets {
        target.up = false;
        target.breaker = BreakerState::Open;
    }
    for chain in &mut gateway.parts().deliver.chains {
        chain.partitioned_since_ms = Some(1);
    }
    assert_eq!(probes(&gateway).await, (200, 503, 503));
    assert_eq!(gateway.get("/readyz").await.body, "not ready: the queue is being recovered\n");

    gateway.observer.recovered(gateway.sources());
    assert_eq!(probes(&gateway).await, (200, 200, 200));
    gateway.parts().queue.state = StoreState::Full;
    assert_eq!(probes(&gateway).await, (200, 200, 200));
    assert!(gateway.get("/readyz").await.body.contains("the queue is full"));
    gateway.parts().queue.state = StoreState::Poisoned;
    assert_eq!(probes(&gateway).await, (200, 503, 200));
    gateway.parts().queue.state = StoreState::Open;
    assert_eq!(probes(&gateway).await, (200, 200, 200));
    gateway.observer.stopping();
    assert_eq!(probes(&gateway).await, (200, 503, 200));
    assert_eq!(gateway.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn before_the_queue_is_recovered_the_process_tells_what_it_can() {
    let gateway = Gateway::recovering().await;
    let metrics = gateway.get("/metrics").await;
    assert!(metrics.status == 200 && metrics.body.contains("spillway_build_info"), "{}", metrics.body);
    let status = gateway.status().await;
    assert_eq!((&status["phase"], &status["headline"]["state"]), (&"recovering".into(), &"refusing".into()));
    assert_eq!(status["headline"]["why"], "the queue is being recovered");
}
