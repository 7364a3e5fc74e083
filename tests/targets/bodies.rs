//! Scenario: gzip, zstd and plain batches of every signal are sent over both protocols.
//! Guarantee: the bytes on the wire are those that were stored, named as what they are (`bytes-unchanged`).

use http::Version;
use spillway::batch::{Encoding, Signal};
use spillway::config::Protocol;
use spillway::otlp::answer::Answer;

use crate::setup::{BOTH, shipment, target};
use crate::sink::Sink;

#[tokio::test]
async fn the_stored_bytes_go_out() {
    for protocol in BOTH {
        for signal in Signal::ALL {
            for encoding in Encoding::ALL {
                let sink = Sink::start().await;
                let shipment = shipment(signal, encoding, "one");
                let hub = target(protocol, &sink.url());
                assert_eq!(hub.send(&shipment).await, Answer::accepted());
                assert!(hub.round_trip().is_some());

                let seen = sink.only();
                assert_eq!(seen.method, "POST");
                assert_eq!(seen.authority, sink.address().to_string());
                assert!(seen.header("user-agent").starts_with(concat!("spillway/", env!("CARGO_PKG_VERSION"))));
                let named = if encoding == Encoding::Identity { "" } else { encoding.as_str() };
                match protocol {
                    Protocol::OtlpGrpc => {
                        assert_eq!((seen.path.as_str(), seen.version), (signal.grpc_path(), Version::HTTP_2));
                        assert_eq!(seen.header("content-type"), "application/grpc");
                        assert_eq!(seen.header("te"), "trailers");
                        assert_eq!(seen.header("grpc-timeout"), "60000m");
                        assert_eq!(seen.header("grpc-encoding"), named);
                        assert_eq!(seen.message(), (u8::from(!named.is_empty()), &shipment.batch.body[..]));
                    }
                    Protocol::OtlpHttp => {
                        assert_eq!(seen.path, signal.http_path());
                        assert_eq!(seen.header("content-type"), "application/x-protobuf");
                        assert_eq!(seen.header("content-encoding"), named);
                        assert_eq!(seen.header("content-length"), shipment.batch.body.len().to_string());
                        assert_eq!(seen.body, shipment.batch.body);
                    }
                }
            }
        }
    }
}

/// Scenario: a body of 8 MiB, far above every flow control window.
/// Guarantee: it arrives whole.
#[tokio::test]
async fn a_large_body_arrives_whole() {
    for protocol in BOTH {
        let sink = Sink::start().await;
        let large = "x".repeat(8 << 20);
        let shipment = shipment(Signal::Logs, Encoding::Identity, &large);
        assert_eq!(target(protocol, &sink.url()).send(&shipment).await, Answer::accepted());
        let seen = sink.only();
        let body = if seen.is_grpc() { seen.message().1 } else { &seen.body[..] };
        assert!(body == shipment.batch.body, "{} bytes came", body.len());
    }
}
