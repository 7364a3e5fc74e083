//! What the keeping thread has removed: batches that are too old, what is owed and has to make room, the oldest of a signal
//! with `drop_oldest`; and dead letters that are too old.
//!
//! It decides how much, from figures of one moment, and asks the committing thread once. It never looks at the disk again
//! and asks for more: space comes back late, and such a loop would empty the queue.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::oneshot;

use super::codec::letter;
use super::codec::twin::Twin;
use super::command::{Command, Removed, Reply};
use super::error::StoreError;
use super::keeper::Keeper;
use super::ledger::DropReason;
use super::store::{Family, keys};
use super::tools::letters;
use super::tools::moves::{Fate, Letters};
use crate::batch::{Key, Signal};

/// Dead letters are looked through once in this time: it reads them whole.
const LETTERS_EVERY_MS: u64 = 60 * 60 * 1000;
/// At a look, so many of them or so many bytes.
const LETTERS: (usize, usize) = (64, 2 << 20);

/// How far the dead letters were looked through.
#[derive(Debug, Default)]
pub(super) struct LetterWalk {
    /// The next one; nothing between two walks.
    at: Option<(Signal, Key)>,
    /// When the next walk begins, on the queue's clock.
    due_ms: u64,
    /// Those that this walk could not read, and the first of them.
    unread: u64,
    first_unread: Option<(Signal, Key)>,
}

impl Keeper {
    /// Removes dead letters that are older than they may become: looks a little further, or rests.
    pub(super) fn expire_letters(&mut self) -> Result<(), StoreError> {
        let (clock, age) = (&self.shared.clock, millis(self.shared.limits.now().letters.max_age));
        let now = clock.now_ms();
        let Some(oldest) = now.checked_sub(age).filter(|_| age > 0 && clock.suspended().is_none()) else {
            return Ok(());
        };
        if self.letters.at.is_none() && now < self.letters.due_ms {
            return Ok(());
        }
        let (first, mut from) = self.letters.at.take().unwrap_or((Signal::Traces, Key::new(0)));
        self.letters.due_ms = now + LETTERS_EVERY_MS;
        let (mut old, mut next, mut seen) = (Vec::new(), None, (0, 0));
        for signal in Signal::ALL.into_iter().skip(first.index()) {
            letters::walk(self.engine.as_ref(), signal, from, &mut |key, value| {
                if seen.0 == LETTERS.0 || seen.1 >= LETTERS.1 {
                    next = Some((signal, key));
                    return ControlFlow::Break(());
                }
                seen = (seen.0 + 1, seen.1 + value.len());
                match letter::decode(value) {
                    Ok((story, _)) if story.aged_from_ms.unwrap_or(story.verdict.last_ms) >= oldest => {}
                    Ok(_) => old.push((signal, key)),
                    // It stays: nobody can tell its age, and a person is to see it.
                    Err(_) => {
                        self.letters.unread += 1;
                        self.letters.first_unread.get_or_insert((signal, key));
                    }
                }
                ControlFlow::Continue(())
            })?;
            if next.is_some() {
                break;
            }
            from = Key::new(0);
        }
        self.letters.at = next;
        if next.is_none() {
            self.say_unread();
        }
        if !old.is_empty() {
            let moved = self.ask(|reply| Command::Letters(Letters::new(Fate::Expire, old, reply)));
            self.shared.counts.expired_letters.add(moved.batches);
        }
        Ok(())
    }

    /// At the end of a walk: how many dead letters it could not read.
    fn say_unread(&mut self) {
        let unread = std::mem::take(&mut self.letters.unread);
        self.shared.counts.unread_letters.store(unread, Relaxed);
        if let Some((signal, key)) = self.letters.first_unread.take() {
            let what = "dead letters cannot be read: they stay, whatever their age, until somebody purges them";
            tracing::error!(letters = unread, first = %format_args!("{signal} {key}"), "{what}");
        }
    }

    /// Removes what is older than it may become.
    pub(super) fn expire(&self) -> Result<(), StoreError> {
        if self.shared.clock.suspended().is_some() {
            return Ok(());
        }
        let now = self.shared.clock.now_ms();
        for signal in Signal::ALL {
            let age = self.shared.limits.now().of_signal(signal).max_age;
            let Some(oldest) = now.checked_sub(millis(age)).filter(|_| !age.is_zero()) else { continue };
            let is_young = |twin: &Twin| twin.aged_from_ms >= oldest;
            let (line, parked) = (self.first(signal, false, is_young)?, self.first(signal, true, is_young)?);
            let below = line.below.min(parked.below);
            if line.passed.into_iter().chain(parked.passed).any(|passed| passed < below) {
                self.drop_below(signal, below, DropReason::MaxAge);
            }
        }
        Ok(())
    }

    /// Removes as much as there is too much of: what is owed first, then the oldest of the signals that may lose something,
    /// the one furthest above its share first. Whether anything was removed.
    pub(super) fn make_room(&self) -> Result<bool, StoreError> {
        let space = &self.shared.space;
        let mut signals = Signal::ALL;
        signals.sort_by(|a, b| space.over_share(*b).total_cmp(&space.over_share(*a)));
        let (mut room, mut owed) = (0, space.owed_excess());
        for signal in signals {
            if owed > 0 && self.shared.lanes(signal).books.owed > 0 {
                let released =
                    self.ask(|reply| Command::Release { signal, bytes: owed, removed: Removed::default(), reply });
                owed = owed.saturating_sub(released.bytes);
                room += released.bytes;
            }
        }
        for signal in signals {
            let mut left = space.drop_excess(signal).saturating_sub(room);
            if left > 0
                && let found = self.first(signal, false, |twin| {
                    let full = left == 0;
                    left = left.saturating_sub(twin.weight);
                    full
                })?
                && found.passed.is_some()
            {
                room += self.drop_below(signal, found.below, DropReason::QueueFull).bytes;
            }
        }
        Ok(room > 0)
    }

    fn drop_below(&self, signal: Signal, below: Key, reason: DropReason) -> Removed {
        self.ask(|reply| Command::Drop { signal, below, reason, removed: Removed::default(), reply })
    }

    /// Has something removed, and waits for it. Nothing is removed where the queue ends or fails meanwhile.
    fn ask<T: Default>(&self, command: impl FnOnce(Reply<T>) -> Command) -> T {
        let (reply, outcome) = oneshot::channel();
        self.shared.inbox.command(command(reply));
        outcome.blocking_recv().ok().and_then(Result::ok).unwrap_or_default()
    }

    /// The first batch of a signal that is to stay, among those in line or those that are parked.
    fn first(&self, signal: Signal, parked: bool, mut stays: impl FnMut(&Twin) -> bool) -> Result<Found, StoreError> {
        let books = self.shared.lanes(signal).books;
        let end = Key::new(books.next_seq);
        let (mut found, mut garbled) = (Found { below: end, passed: None }, Ok(()));
        let (from, to) = match parked {
            true => (keys::parked(signal, Key::new(0)), keys::parked(signal, end)),
            false => (keys::of(signal, Key::new(books.low)), keys::of(signal, end)),
        };
        self.engine.walk(Family::Index, from.as_ref(), to.as_ref(), &mut |key, value| {
            let key = if parked { keys::parse_parked(key) } else { keys::parse(key) };
            match (key, Twin::decode(value)) {
                (Some((_, key)), Ok(twin)) if stays(&twin) => {
                    found.below = key;
                    ControlFlow::Break(())
                }
                (_, Err(error)) => {
                    garbled = Err(StoreError::unreadable(format_args!("an index entry of {signal}"), &error));
                    ControlFlow::Break(())
                }
                (key, Ok(_)) => {
                    found.passed = found.passed.or(key.map(|(_, key)| key));
                    ControlFlow::Continue(())
                }
            }
        })?;
        garbled.map(|()| found)
    }
}

/// Where to stop.
struct Found {
    /// The first batch that stays, or where the next one will stand.
    below: Key,
    /// The first that does not.
    passed: Option<Key>,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
