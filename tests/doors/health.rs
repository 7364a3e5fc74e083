//! Scenario: a load balancer asks for the health of the gRPC door.
//! Guarantee: SERVING for the server and for its services, NOT_FOUND for others (grpc.health.v1).

use crate::support::Gateway;
use crate::support::grpc::framed;

const CHECK: &str = "/grpc.health.v1.Health/Check";

#[tokio::test]
async fn health_is_told_by_service() {
    let gateway = Gateway::start().await;
    let grpc = gateway.grpc().await;
    let named = |service: &str| [&[0x0a, service.len() as u8], service.as_bytes()].concat();
    for message in [Vec::new(), named("opentelemetry.proto.collector.metrics.v1.MetricsService")] {
        let answer = grpc.call(CHECK, &[], &[&framed(0, &message)]).await.unwrap();
        assert_eq!((answer.status(), &answer.body[..]), (0, &framed(0, &[0x08, 0x01])[..]));
    }
    assert_eq!(grpc.call(CHECK, &[], &[&framed(0, &named("pets"))]).await.unwrap().status(), 5);
    assert_eq!(grpc.call(CHECK, &[], &[b"nonsense"]).await.unwrap().status(), 3);
}
