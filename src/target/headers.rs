//! The headers that every request carries: the configured ones, who sends to whom, the batch's name.
//!
//! What the protocols themselves need (content type, encoding, timeout) is added by `grpc` and `http`.

use std::fmt;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::Shipment;
use super::credentials::Credentials;
use super::error::BuildError;
use crate::config::{NetworkConfig, TargetConfig};

/// How the gateway calls itself.
pub(super) const USER_AGENT: &str = concat!("spillway/", env!("CARGO_PKG_VERSION"));

/// Cluster that the data comes from.
const SOURCE_CLUSTER: HeaderName = HeaderName::from_static("x-source-cluster");
/// Cluster behind the target.
const TARGET_CLUSTER: HeaderName = HeaderName::from_static("x-target-cluster");
/// The batch's name, by which a hub may drop repeats.
const BATCH_ID: HeaderName = HeaderName::from_static("spillway-batch-id");
/// Set on replayed backlog, so that a hub can route it past tail sampling.
const REPLAY: HeaderName = HeaderName::from_static("spillway-replay");

/// Headers that describe the request itself: neither the configuration nor a client may set them.
const OURS: [&str; 13] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "accept-encoding",
];

/// Makes the headers of a target's requests.
pub(super) struct Headers {
    fixed: HeaderMap,
    credentials: Credentials,
}

impl Headers {
    /// Checks the configured headers and reads the credentials.
    pub(super) fn new(
        config: &TargetConfig,
        network: &NetworkConfig,
        source_cluster: &str,
    ) -> Result<Headers, BuildError> {
        let mut fixed = HeaderMap::new();
        for (name, value) in &network.headers {
            let wrong = |reason: &str| BuildError::value(&config.name, &format!("headers.{name}"), reason);
            let header = HeaderName::try_from(name.as_str()).map_err(|_| wrong("not a header name"))?;
            if is_ours(&header) {
                return Err(wrong("this header belongs to the protocol and cannot be set"));
            }
            let mut value = HeaderValue::from_bytes(value.reveal().as_bytes())
                .map_err(|_| wrong("control characters cannot be sent in a header"))?;
            value.set_sensitive(true);
            fixed.append(header, value);
        }
        let target_key = format!("targets.{}.cluster", config.name);
        for (header, cluster, key) in
            [(SOURCE_CLUSTER, source_cluster, "cluster.name"), (TARGET_CLUSTER, &config.cluster, &target_key)]
        {
            if !cluster.is_empty() {
                let value = HeaderValue::from_bytes(cluster.as_bytes()).map_err(|_| {
                    let reason = format!("control characters cannot be sent in {header}");
                    BuildError { key: key.to_owned(), file: None, reason }
                })?;
                fixed.insert(header, value);
            }
        }
        Ok(Headers { fixed, credentials: Credentials::new(&config.name, &network.auth)? })
    }

    /// The headers of a request that carries no batch: probes.
    pub(super) fn bare(&self) -> HeaderMap {
        let mut headers = self.fixed.clone();
        if let Some(value) = self.credentials.header() {
            headers.insert(AUTHORIZATION, value);
        }
        headers
    }

    /// The headers of a shipment. A client's header never replaces one that is configured.
    pub(super) fn of(&self, shipment: &Shipment) -> HeaderMap {
        let mut headers = self.bare();
        for (name, value) in shipment.batch.headers.iter() {
            let header = HeaderName::try_from(name.as_ref());
            if let (Ok(header), Ok(value)) = (header, HeaderValue::from_bytes(value.as_bytes()))
                && !is_ours(&header)
                && !self.fixed.contains_key(&header)
                && !(header == AUTHORIZATION && headers.contains_key(AUTHORIZATION))
            {
                headers.append(header, value);
            }
        }
        headers.insert(BATCH_ID, ascii(Names(shipment)));
        if shipment.replay {
            headers.insert(REPLAY, HeaderValue::from_static("1"));
        }
        headers
    }
}

/// The names of the batches in a shipment, parted by commas; of those that came one after the other the first, and behind two dots the
/// sequence number of the last.
struct Names<'a>(&'a Shipment);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.id)?;
        let (mut last, mut run) = (&self.0.id, false);
        for id in &self.0.along {
            if last.precedes(id) {
                run = true;
            } else {
                if std::mem::take(&mut run) {
                    write!(f, "..{}", last.key)?;
                }
                write!(f, ",{id}")?;
            }
            last = id;
        }
        if run { write!(f, "..{}", last.key) } else { Ok(()) }
    }
}

/// A header value from something that prints as plain ASCII.
pub(super) fn ascii(value: impl fmt::Display) -> HeaderValue {
    HeaderValue::from_str(&value.to_string()).expect("numbers, names and dashes are visible ASCII")
}

fn is_ours(header: &HeaderName) -> bool {
    OURS.contains(&header.as_str()) || header.as_str().starts_with("grpc-") || header == BATCH_ID || header == REPLAY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Batch, BatchId, Encoding, Key, Signal};

    /// One batch; several that came one after the other; gaps, a part, another epoch.
    /// Guarantees that each is named, once, in order.
    #[test]
    fn a_merged_request_names_all_its_batches() {
        let id = |epoch, seq, part| BatchId { store: 0xab, epoch, signal: Signal::Logs, key: Key { seq, part } };
        let names = |ids: &[BatchId]| {
            let (headers, body) = ([].into(), [].as_slice().into());
            let (signal, encoding) = (Signal::Logs, Encoding::Identity);
            let batch = Batch { signal, encoding, items: 1, inflated_len: 0, received_at_ms: 0, headers, body };
            Names(&Shipment { batch, id: ids[0], along: ids[1..].to_vec(), replay: false }).to_string()
        };
        let of = |epoch: u32, keys: &str| format!("00000000000000ab-{epoch}-logs-{keys}");
        assert_eq!(names(&[id(3, 7, 2)]), of(3, "7.2"));
        assert_eq!(names(&[id(3, 7, 0), id(3, 8, 0), id(3, 9, 0)]), of(3, "7..9"));
        let ids = [id(3, 7, 0), id(3, 8, 0), id(3, 11, 0), id(3, 13, 0), id(4, 14, 0), id(4, 15, 0)];
        assert_eq!(names(&ids), [of(3, "7..8"), of(3, "11"), of(3, "13"), of(4, "14..15")].join(","));
        assert_eq!(names(&[id(3, 7, 1), id(3, 8, 0)]), [of(3, "7.1"), of(3, "8")].join(","));
    }
}
