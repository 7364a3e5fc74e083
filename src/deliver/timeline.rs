//! What happened, for people: the last changes of state, each told once in the log.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::snapshot::Event;

/// Events that are kept: some screens full, and a bound.
const KEPT: usize = 256;

/// Each kind of repeated failure is told at most once in this time.
const REPEAT_AFTER: Duration = Duration::from_secs(30);

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

/// Holds back what was told a moment ago, and counts it.
#[derive(Debug, Default)]
pub struct Repeats {
    told_at: Option<Instant>,
    held_back: u64,
}

impl Repeats {
    /// Whether to tell of a failure now: with the number of those that were held back since the last one told.
    pub fn tell(&mut self, now: Instant) -> Option<u64> {
        if self.told_at.is_some_and(|told| now < told + REPEAT_AFTER) {
            self.held_back += 1;
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.held_back))
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

    /// More events than are kept; failures many times a second.
    /// Guarantees the bounds: the youngest events, one line in half a minute with the number of those held back.
    #[test]
    fn bounded_and_not_repeated() {
        let timeline = Timeline::default();
        (0..300).for_each(|number| timeline.note(format!("event {number}")));
        let events = timeline.events();
        assert_eq!((events.len(), events[0].what.as_str()), (KEPT, "event 44"));

        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let told: Vec<u64> = (0..100).filter_map(|second| repeats.tell(start + Duration::from_secs(second))).collect();
        assert_eq!(told, [0, 29, 29, 29]);
    }

    /// A page of HTML with line breaks and colours for an error text.
    /// Guarantees one short line.
    #[test]
    fn words_of_others_are_tamed() {
        let quoted = quote(&"a\n\u{1b}[31mb".repeat(100));
        assert!(quoted.chars().count() == LONGEST_QUOTE + 1 && !quoted.contains(['\n', '\u{1b}']), "{quoted}");
    }
}
