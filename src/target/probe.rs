//! The ladder of health probes: connect → GET → gRPC health → empty export.
//!
//! Each rung may say that the target is down; only the last may say that it is up. A rung that says neither is passed.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::Health;
use super::network::{Call, Network, Wire};
use crate::batch::Encoding;
use crate::config::Probe;
use crate::otlp::answer::Answer;
use crate::otlp::class::{self, Class};

/// Climbs as far as `health.probe` says, within `health.timeout`.
pub(super) async fn climb<W: Wire>(target: &Network<W>) -> Health {
    let patience = target.health().timeout;
    let deadline = Instant::now() + patience;
    let mut rung = "a connection";
    match target.health().probe {
        Probe::Off => return Health::Unknown,
        Probe::Connect => {
            return match timeout_at(deadline, target.wire().connect()).await {
                Ok(Ok(())) => Health::Up,
                Ok(Err(error)) => Health::Down(error.to_string()),
                Err(_) => silent(rung, patience),
            };
        }
        Probe::Auto => {}
    }
    let climbed = timeout_at(deadline, ladder(target, patience, &mut rung)).await;
    climbed.unwrap_or_else(|_| silent(rung, patience))
}

async fn ladder<W: Wire>(target: &Network<W>, patience: Duration, rung: &mut &'static str) -> Health {
    if let Err(error) = target.wire().connect().await {
        return Health::Down(error.to_string());
    }
    let path = &target.health().path;
    if !path.is_empty() {
        *rung = "GET";
        match target.wire().get(path, target.bare_headers(), patience).await {
            Answer::Accepted { .. } => {}
            answer => return Health::Down(format!("GET {path}: {answer}")),
        }
    }
    *rung = "the health service";
    if target.wire().serving(target.bare_headers(), patience).await == Some(false) {
        return Health::Down("its health service answers NOT_SERVING".to_owned());
    }
    *rung = "an empty export";
    let mut found = Health::Unknown;
    for signal in target.probe_order() {
        let headers = target.bare_headers();
        let encoding = Encoding::Identity;
        let call = Call { signal, encoding, body: bytes::Bytes::new(), headers, timeout: patience };
        let answer = target.wire().export(call).await;
        found = judge(&answer);
        match found {
            Health::Up => target.note_probed(signal),
            // A backend of metrics alone knows no traces: it is down only if it takes no signal at all.
            Health::Down(_) if class::classify(&answer, 1) == Class::Endpoint => continue,
            Health::Down(_) | Health::Unknown => {}
        }
        break;
    }
    found
}

/// What the answer to an empty export says of a target.
fn judge(answer: &Answer) -> Health {
    let down = || Health::Down(format!("an empty export: {answer}"));
    match (class::classify(answer, 1), answer) {
        (Class::Ok, _) => Health::Up,
        // "Not now", with a delay or without: it does not take data at the moment.
        (_, Answer::Grpc { code: 14, .. } | Answer::Http { status: 503, .. }) => down(),
        // It is there and speaks OTLP. Some backends refuse a request without data, some are only busy.
        (Class::Throttle | Class::Refused | Class::TooLarge, _) => Health::Unknown,
        (Class::Transient | Class::Endpoint | Class::Unlisted, _) => down(),
    }
}

fn silent(rung: &str, patience: Duration) -> Health {
    Health::Down(format!("no answer to {rung} within {patience:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::answer::Break;

    /// Scenario: every kind of answer to an empty export.
    /// Guarantee: success is up, "not now" and wrong endpoints are down with the sentence, the rest says nothing.
    #[test]
    fn answers_are_judged() {
        let grpc = |code| Answer::Grpc { code, message: "why".to_owned(), delay: Some(Duration::from_secs(1)) };
        let http = |status| Answer::Http { status, message: "why".to_owned(), delay: None };
        let partial = Answer::Accepted { rejected: 1, message: String::new() };
        for up in [Answer::accepted(), partial] {
            assert_eq!(judge(&up), Health::Up);
        }
        for unknown in [grpc(3), grpc(8), http(400), http(429), http(413)] {
            assert_eq!(judge(&unknown), Health::Unknown, "{unknown}");
        }
        let broken = Answer::Broken { at: Break::Reset, message: "why".to_owned() };
        for down in [grpc(14), grpc(12), grpc(16), grpc(13), http(503), http(502), http(401), http(404), broken] {
            assert!(matches!(judge(&down), Health::Down(why) if why.contains("why")), "{down}");
        }
    }
}
