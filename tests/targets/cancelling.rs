//! Scenario: a send is given up in the middle, while others go on.
//! Guarantee: nothing is left behind: the others end, the next one is sent, and nothing was sent twice.

use std::time::Duration;

use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;

use crate::setup::{BOTH, build, network, shipment};
use crate::sink::{Reply, Sink};

#[tokio::test]
async fn a_dropped_send_leaves_nothing_behind() {
    for protocol in BOTH {
        let sink = Sink::start().await;
        sink.answer(|seen| match seen.path.contains("trace") {
            true => Reply::Hang,
            false => Reply::Later(Duration::from_millis(100), Box::new(Reply::accept())),
        });
        let mut config = network(protocol, &sink.url());
        config.connections = 1;
        let hub = build(config);
        let (given_up, kept) =
            (shipment(Signal::Traces, Encoding::Gzip, "a"), shipment(Signal::Logs, Encoding::Gzip, "b"));
        let both = async {
            tokio::select! {
                answer = hub.send(&given_up) => panic!("a hanging server answered {answer}"),
                answer = async {
                    sink.wait_for(1).await;
                    hub.send(&kept).await
                } => answer,
            }
        };
        assert_eq!(both.await, Answer::accepted());
        assert_eq!(hub.send(&kept).await, Answer::accepted());
        assert_eq!(sink.seen().len(), 3);
    }
}
