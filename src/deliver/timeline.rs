//! What happened, for people: the last changes of state, each told once in the log.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::snapshot::Event;

/// Events that are kept: some screens full, and a bound.
const KEPT: usize = 256;

/// Longest piece of a target's words in a log line or event, in characters.
const LONGEST_QUOTE: usize = 200;

/// The last changes of state.
#[derive(Debug, Default)]
pub struct Timeline(Mutex<VecDeque<Event>>);

impl Timeline {
    /// Notes and logs one change of state, in a sentence without the full stop.
    pub fn note(&self, what: String) {
        tracing::info!("{what}");
        self.add(what);
    }

    /// Notes what is logged elsewhere.
    pub fn add(&self, what: String) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() >= KEPT {
            events.pop_front();
        }
        events.push_back(Event { at_ms: now_ms(), what });
    }

    /// What is kept, oldest first.
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
}

/// When `at` was, in milliseconds since the Unix epoch.
pub fn wall_ms(at: Instant) -> u64 {
    now_ms().saturating_sub(u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX))
}

/// A target's words on one line: without control characters, and shortened.
pub fn quote(text: &str) -> String {
    let mut quoted: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_QUOTE).collect();
    if text.chars().nth(LONGEST_QUOTE).is_some() {
        quoted.push('…');
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More events than are kept.
    /// Guarantees the bound, and that the youngest are kept.
    #[test]
    fn bounded() {
        let timeline = Timeline::default();
        (0..300).for_each(|number| timeline.note(format!("event {number}")));
        let events = timeline.events();
        assert_eq!((events.len(), events[0].what.as_str()), (KEPT, "event 44"));
    }

    /// A page of HTML with line breaks and colours for an error text.
    /// Guarantees one short line.
    #[test]
    fn words_of_others_are_tamed() {
        let quoted = quote(&"a\n\u{1b}[31mb".repeat(100));
        assert!(quoted.chars().count() == LONGEST_QUOTE + 1 && !quoted.contains(['\n', '\u{1b}']), "{quoted}");
    }
}
