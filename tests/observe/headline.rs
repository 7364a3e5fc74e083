//! Scenario: a primary goes, everything goes, everything comes back and the backlog drains.
//! Guarantee: the headline follows, each change is one line of the log and one entry of the timeline, at once.

use std::io;
use std::sync::{Arc, Mutex};

use crate::support::Gateway;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_headline_follows_an_outage() {
    let gateway = Gateway::running().await;
    let lines = Lines::default();
    let written = lines.clone();
    let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || written.clone()).finish();
    let _log = tracing::subscriber::set_default(log);

    let look = || {
        let headline = gateway.observer.status().headline;
        // A second look at the same state is no change.
        assert_eq!(gateway.observer.status().headline, headline);
        headline.state.as_str()
    };
    let each = |change: &dyn Fn(&mut spillway::deliver::snapshot::ChainView)| {
        gateway.parts().deliver.chains.iter_mut().for_each(change);
    };
    let mut seen = vec![look()];
    each(&|chain| chain.active = "direct".to_owned());
    seen.push(look());
    each(&|chain| chain.partitioned_since_ms = Some(1_700_000_000_000));
    seen.push(look());
    each(&|chain| {
        chain.partitioned_since_ms = None;
        chain.active = "hub".to_owned();
    });
    gateway.parts().queue.signals[0].books.owed = 4;
    seen.push(look());
    gateway.parts().queue.signals[0].books.owed = 0;
    seen.push(look());
    assert_eq!(seen, ["normal", "on_fallback", "partitioned", "replaying", "normal"]);

    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let changes: Vec<_> = log.lines().filter(|line| line.contains("before=")).collect();
    assert_eq!(changes.len(), 5, "{log}");
    assert!(changes[2].contains("INFO") && changes[2].contains("partitioned: no network target accepts"), "{log}");
    let status = gateway.status().await;
    assert_eq!(status["timeline"].as_array().unwrap().len(), 5, "{status:#}");
}
