//! A name and the addresses behind it, looked up now and then, so that a target that moved is followed.
//!
//! Connections outlive DNS entries. A name that has moved wholly (no address in common) makes every connection be renewed
//! at once; where only some addresses changed, the age of connections does it (`pool`).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Time between two lookups of a name that is in use.
const LOOK_UP_EVERY: Duration = Duration::from_secs(30);

/// A name with a port.
pub(super) struct Names {
    host: String,
    port: u16,
    turn: AtomicUsize,
    seen: Mutex<Seen>,
    /// It has moved, and nobody was told yet.
    moved: AtomicBool,
}

struct Seen {
    addresses: Vec<IpAddr>,
    looked: Instant,
}

impl Names {
    pub(super) fn new(host: String, port: u16) -> Names {
        let seen = Seen { addresses: Vec::new(), looked: Instant::now() };
        Names { host, port, turn: AtomicUsize::new(0), seen: Mutex::new(seen), moved: AtomicBool::new(false) }
    }

    /// Host and port.
    pub(super) fn name(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// The addresses now, the preferred family first; the first of them another one each time, so that several
    /// connections reach several replicas.
    pub(super) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let mut addresses: Vec<_> = tokio::net::lookup_host((self.host.as_str(), self.port)).await?.collect();
        if self.note(&addresses) {
            self.moved.store(true, Relaxed);
        }
        let family = addresses.iter().take_while(|a| a.is_ipv4() == addresses[0].is_ipv4()).count();
        if family > 1 {
            addresses[..family].rotate_left(self.turn.fetch_add(1, Relaxed) % family);
        }
        Ok(addresses)
    }

    /// Looks the name up when that is due. `true` when it has moved to other addresses, `false` in all other cases.
    pub(super) async fn moved(self: &Arc<Names>) -> bool {
        if self.moved.swap(false, Relaxed) {
            return true;
        }
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            if now.duration_since(seen.looked) < LOOK_UP_EVERY || self.host.parse::<IpAddr>().is_ok() {
                return false;
            }
            seen.looked = now;
        }
        // A task of its own, which ends with the lookup: the exchange that this runs beside may end sooner, and would take the
        // lookup with it each time. Whoever comes next is told then.
        let names = Arc::clone(self);
        let looking = tokio::spawn(async move {
            // A resolver's trouble is no reason to leave connections that work.
            if let Ok(found) = tokio::net::lookup_host((names.host.as_str(), names.port)).await
                && names.note(&found.collect::<Vec<_>>())
            {
                names.moved.store(true, Relaxed);
            }
        });
        let _ = looking.await;
        self.moved.swap(false, Relaxed)
    }

    /// Remembers what was found; `true` when it has nothing in common with what was known.
    fn note(&self, found: &[SocketAddr]) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let found: Vec<_> = found.iter().map(SocketAddr::ip).collect();
        let moved =
            !seen.addresses.is_empty() && !found.is_empty() && found.iter().all(|a| !seen.addresses.contains(a));
        if !found.is_empty() {
            seen.addresses = found;
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: a name gains an address, swaps one, then moves wholly.
    /// Guarantee: only the last is a move.
    #[test]
    fn a_move_is_a_change_of_every_address() {
        let names = Names::new("hub".to_owned(), 4317);
        let found = |list: &[[u8; 4]]| list.iter().map(|ip| SocketAddr::from((*ip, 4317))).collect::<Vec<_>>();
        assert!(!names.note(&found(&[[10, 0, 0, 1]])));
        assert!(!names.note(&found(&[[10, 0, 0, 1], [10, 0, 0, 2]])));
        assert!(!names.note(&found(&[[10, 0, 0, 2], [10, 0, 0, 3]])));
        assert!(!names.note(&[]));
        assert!(names.note(&found(&[[10, 9, 9, 9]])));
        assert!(!names.note(&found(&[[10, 9, 9, 9]])));
    }
}
