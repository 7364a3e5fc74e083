//! A token bucket over bytes that the signals share, each in its turn. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::batch::Signal;

/// What may be saved up, in seconds' worth: a limiter that counts in tenths of a second is not overrun by what was saved, and a
/// loop that is late by some timer ticks loses nothing.
const BURST: f64 = 0.1;

/// Whose turn it is not looks again after so long,
const LOOKS_AGAIN: Duration = Duration::from_millis(5);

/// and whose turn it is loses it if it is so late.
const LOSES_TURN: Duration = Duration::from_millis(50);

/// See the module. It is filled when it is asked, at the rate of that moment.
#[derive(Debug)]
pub struct Bucket {
    /// In bytes, below zero after a batch larger than what was left.
    tokens: f64,
    filled_at: Instant,
    /// By signal: those that wait.
    turns: [Option<Turn>; 3],
}

#[derive(Debug, Clone, Copy)]
struct Turn {
    since: Instant,
    /// When it was told to ask again.
    due: Instant,
}

impl Bucket {
    /// An empty bucket, from which one batch may go all the same.
    pub fn new(now: Instant) -> Bucket {
        Bucket { tokens: 0.0, filled_at: now, turns: [None; 3] }
    }

    /// Whether all is saved up at `rate` bytes a second that may be: less goes than may.
    pub fn is_full(&mut self, now: Instant, rate: f64) -> bool {
        self.fill(now, rate);
        self.tokens >= rate * BURST
    }

    fn fill(&mut self, now: Instant, rate: f64) {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = self.filled_at.max(now);
        self.tokens = (self.tokens + passed * rate).min(rate * BURST);
    }

    /// Until when nothing may go at `rate` bytes a second, whoever asks.
    pub fn empty_until(&mut self, now: Instant, rate: f64) -> Option<Instant> {
        self.fill(now, rate);
        // One millisecond beyond, so that rounding cannot wake us a moment too early.
        let missing = || Duration::from_secs_f64(-self.tokens / rate) + Duration::from_millis(1);
        (self.tokens < 0.0).then(|| now + missing())
    }

    /// Whether a batch of that signal may go now, at `rate` bytes a second; if not, when. Signals that wait take turns.
    pub fn ready(&mut self, now: Instant, rate: f64, signal: Signal) -> Result<(), Instant> {
        let since = self.turns[signal.index()].map_or(now, |turn| turn.since);
        let first = |turn: &Turn| turn.since < since && now <= turn.due + LOSES_TURN;
        let ready = match self.empty_until(now, rate) {
            Some(at) => Err(at),
            None if self.turns.iter().flatten().any(first) => Err(now + LOOKS_AGAIN),
            None => Ok(()),
        };
        self.turns[signal.index()] = ready.err().map(|due| Turn { since, due });
        ready
    }

    /// A batch of this many bytes goes: whole, so that one larger than the burst goes too, and the next waits for it.
    pub fn spend(&mut self, bytes: f64) {
        self.tokens -= bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Batches smaller and larger than the burst, sent as fast as allowed for a minute.
    /// Guarantees the rate, plus one burst and one batch at most.
    #[test]
    fn a_rate_is_kept() {
        for batch in [1000.0, 100_000.0, 3_000_000.0] {
            let start = Instant::now();
            let (mut bucket, mut now, mut sent) = (Bucket::new(start), start, 0.0);
            while now < start + 60 * SECOND {
                match bucket.ready(now, 1_000_000.0, Signal::Logs) {
                    Ok(()) => {
                        bucket.spend(batch);
                        sent += batch;
                    }
                    Err(at) => now = at,
                }
            }
            assert!((58_000_000.0..=60_100_000.0 + batch).contains(&sent), "{sent}");
        }
    }

    /// A rate that falls while much is saved up, after a pause.
    /// Guarantees that no more is saved than the new rate allows.
    #[test]
    fn what_is_saved_follows_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        assert_eq!(bucket.ready(start + 60 * SECOND, 1_000_000.0, Signal::Logs), Ok(()));
        assert_eq!(bucket.ready(start + 60 * SECOND, 1000.0, Signal::Logs), Ok(()));
        bucket.spend(1100.0);
        let next = bucket.ready(start + 60 * SECOND, 1000.0, Signal::Logs).expect_err("a second's worth is owed");
        assert!(next > start + 61 * SECOND && next < start + 62 * SECOND);
    }

    /// Three signals that want to send all the time, one of which is always the last to ask; then it asks no more.
    /// Guarantees that each gets its turn, and that nobody waits for one that is gone.
    #[test]
    fn signals_take_turns() {
        let start = Instant::now();
        let (mut bucket, mut sent) = (Bucket::new(start), [0; 3]);
        for milli in 0..20_000u32 {
            let now = start + milli * (SECOND / 1000);
            for signal in &Signal::ALL[..if milli < 10_000 { 3 } else { 2 }] {
                if bucket.ready(now, 100_000.0, *signal).is_ok() {
                    bucket.spend(1000.0);
                    sent[signal.index()] += 1;
                }
            }
            if milli == 9_999 {
                assert!(sent.iter().all(|sent| (320..=350).contains(sent)), "{sent:?}");
            }
        }
        assert!(sent[0] > 800 && sent[1] > 800, "{sent:?}");
    }
}
