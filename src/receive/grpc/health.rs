//! `grpc.health.v1.Health/Check`. `Watch` is left out, which the protocol allows and its clients expect.
//!
//! The doors serve as long as they are open: full or throttling they answer with a delay, and whoever is told that they
//! are down would get a refused connection instead. A check takes no share of the budget, so that it passes when there is
//! none left.

use std::time::Duration;

use http::Response;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use prost::Message;
use tokio::time::timeout;

use super::reply::{self, Reply};
use crate::batch::Signal;
use crate::otlp::status::{Status, code};

/// Path of the method.
pub(super) const CHECK: &str = "/grpc.health.v1.Health/Check";

/// gRPC status code of a service that nobody knows here.
const NOT_FOUND: u8 = 5;

/// A service's name, and some.
const LIMIT: usize = 1024;
const TIME: Duration = Duration::from_secs(2);

/// `HealthCheckResponse { status: SERVING }`: field 1, a varint, 1.
const SERVING: [u8; 2] = [0x08, 0x01];

#[derive(Clone, PartialEq, prost::Message)]
struct CheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// Answers one check.
pub(super) async fn check(body: Incoming) -> Response<Reply> {
    let body = timeout(TIME, Limited::new(body, LIMIT).collect()).await.ok().and_then(Result::ok);
    match body.and_then(|body| service(&body.to_bytes())) {
        Some(service) if is_ours(&service) => reply::message(&SERVING),
        Some(_) => reply::failed(&Status::new(NOT_FOUND, "there is no such service here")),
        None => reply::failed(&Status::new(code::INVALID_ARGUMENT, "this is no uncompressed HealthCheckRequest")),
    }
}

/// The service that an uncompressed message in its frame asks for.
fn service(framed: &[u8]) -> Option<String> {
    let ([0, length @ ..], message) = framed.split_first_chunk::<5>()? else { return None };
    let whole = usize::try_from(u32::from_be_bytes(*length)).ok()? == message.len();
    let request = if whole { CheckRequest::decode(message).ok() } else { None };
    request.map(|request| request.service)
}

/// The server as a whole, or one of the three services.
fn is_ours(service: &str) -> bool {
    let known = |signal: Signal| signal.grpc_path().strip_prefix('/').and_then(|path| path.strip_suffix("/Export"));
    service.is_empty() || Signal::ALL.into_iter().any(|signal| known(signal) == Some(service))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks of services that are here and of others, and bytes that are no check.
    /// Guarantees that each is told from the others.
    #[test]
    fn a_check_is_read_by_its_frame() {
        let logs = "opentelemetry.proto.collector.logs.v1.LogsService";
        let named = CheckRequest { service: logs.to_owned() }.encode_to_vec();
        let framed = [&[0, 0, 0, 0, named.len() as u8], &named[..]].concat();
        assert!(service(&framed).is_some_and(|service| is_ours(&service)));
        assert_eq!(service(&[0; 5]).as_deref(), Some(""));
        assert!(!is_ours("opentelemetry.proto.collector.logs.v1"));
        for bytes in [&[][..], &[0; 4], &[1, 0, 0, 0, 0], &[0, 0, 0, 0, 1], &[0, 0, 0, 0, 1, 0xff]] {
            assert_eq!(service(bytes), None, "{bytes:?}");
        }
    }
}
