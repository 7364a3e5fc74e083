//! A hub at the other end of a network, and what goes wrong with either.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::scripted::http;
use super::fate::Fate;
use super::load::{MOST, numbers};
use crate::batch::Signal;
use crate::otlp::answer::{Answer, Break};
use crate::target::{Health, Sending, Shipment, Target};

/// What a gateway waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How hub and network are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    /// Nobody listens.
    Refuses,
    /// Packets vanish.
    Silent,
    /// Connections break, before the hub has a batch or after.
    Breaks {
        arrived: bool,
    },
    /// It answers everything so, with a delay in seconds.
    Says(u16, Option<u64>),
    /// It takes what it gets, after so many seconds; later than anybody waits, perhaps.
    Slow(u64),
}

/// An item that it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Took {
    pub(super) at: Duration,
    pub(super) signal: Signal,
    pub(super) item: u64,
}

impl Took {
    /// The batch that it came in.
    pub(super) const fn batch(&self) -> u64 {
        self.item / MOST
    }
}

pub(super) struct Peer {
    name: String,
    start: Instant,
    latency: Duration,
    /// Batches whose numbers are multiples of these are refused, or never answered.
    refuses: u64,
    hangs: u64,
    /// Larger requests are refused.
    takes: usize,
    state: Mutex<State>,
}

struct State {
    mood: Mood,
    /// How often it changed.
    moods: u64,
    took: Vec<Took>,
    /// What it was sent last, taken or not.
    asked: VecDeque<Took>,
    altered: u64,
    merged: u64,
}

impl Peer {
    pub(super) fn new(name: &str, start: Instant, (latency, takes): (Duration, usize), fate: &Fate) -> Peer {
        let state =
            State { mood: Mood::Well, moods: 0, took: Vec::new(), asked: VecDeque::new(), altered: 0, merged: 0 };
        let (name, state) = (name.to_owned(), Mutex::new(state));
        Peer { name, start, latency, refuses: fate.refused, hangs: fate.hanging, takes, state }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From now on it is so; the number of this change.
    pub(super) fn set(&self, mood: Mood) -> u64 {
        let mut state = self.lock();
        (state.mood, state.moods) = (mood, state.moods + 1);
        state.moods
    }

    /// Well again, unless something else came in between.
    pub(super) fn heal(&self, change: u64) {
        let mut state = self.lock();
        if state.moods == change {
            state.mood = Mood::Well;
        }
    }

    /// Whether it never takes that batch.
    pub(super) fn detests(&self, batch: u64) -> bool {
        batch.is_multiple_of(self.refuses) || batch.is_multiple_of(self.hangs)
    }

    /// How many requests it took that held several batches.
    pub(super) fn merged(&self) -> u64 {
        self.lock().merged
    }

    /// What it took, in order.
    pub(super) fn took(&self) -> Vec<Took> {
        self.lock().took.clone()
    }

    /// What it was sent last.
    pub(super) fn asked(&self) -> Vec<Took> {
        self.lock().asked.iter().copied().collect()
    }

    /// How much of what it took was not what the client had sent.
    pub(super) fn altered(&self) -> u64 {
        self.lock().altered
    }

    fn take(&self, shipment: &Shipment, items: &[u64]) {
        let (mut state, at, signal) = (self.lock(), self.start.elapsed(), shipment.batch.signal);
        state.merged += u64::from(!shipment.along.is_empty());
        state.took.extend(items.iter().map(|item| Took { at, signal, item: *item }));
    }

    async fn answer(&self, shipment: &Shipment) -> Answer {
        let items = numbers(&shipment.batch).unwrap_or_default();
        let mut batches: Vec<u64> = items.iter().map(|item| item / MOST).collect();
        batches.dedup();
        if batches.len() != shipment.along.len() + 1 {
            self.lock().altered += 1;
            return http(400);
        }
        let any = |of: u64| batches.iter().any(|batch| batch.is_multiple_of(of));
        let mood = {
            let mut state = self.lock();
            state.asked.push_back(Took { at: self.start.elapsed(), signal: shipment.batch.signal, item: items[0] });
            if state.asked.len() > 20 {
                state.asked.pop_front();
            }
            state.mood
        };
        let broken = |at| Answer::Broken { at, message: format!("{mood:?}") };
        match mood {
            Mood::Refuses => broken(Break::Connect),
            Mood::Silent => {
                sleep(TIMEOUT).await;
                broken(Break::Timeout)
            }
            Mood::Breaks { arrived } => {
                sleep(self.latency / 2).await;
                if arrived
                    && !any(self.refuses)
                    && !any(self.hangs)
                    && shipment.batch.inflated_len as usize <= self.takes
                {
                    self.take(shipment, &items);
                }
                broken(Break::Reset)
            }
            Mood::Says(status, delay) => {
                sleep(self.latency).await;
                let delay = delay.map(Duration::from_secs);
                Answer::Http { status, message: "simulated".to_owned(), delay }
            }
            _ if shipment.batch.inflated_len as usize > self.takes => {
                sleep(self.latency).await;
                http(413)
            }
            _ if any(self.hangs) => {
                sleep(TIMEOUT).await;
                broken(Break::Timeout)
            }
            _ if any(self.refuses) => {
                sleep(self.latency).await;
                http(400)
            }
            Mood::Slow(seconds) if Duration::from_secs(seconds) >= TIMEOUT => {
                sleep(TIMEOUT).await;
                self.take(shipment, &items);
                broken(Break::Timeout)
            }
            Mood::Well | Mood::Slow(_) => {
                let latency = if let Mood::Slow(seconds) = mood { Duration::from_secs(seconds) } else { self.latency };
                sleep(latency / 2).await;
                self.take(shipment, &items);
                sleep(latency / 2).await;
                Answer::accepted()
            }
        }
    }
}

impl Target for Peer {
    fn name(&self) -> &str {
        &self.name
    }

    fn send<'a>(&'a self, shipment: &'a Shipment) -> Sending<'a, Answer> {
        Box::pin(self.answer(shipment))
    }

    fn probe(&self) -> Sending<'_, Health> {
        Box::pin(async {
            let mood = self.lock().mood;
            sleep(self.latency).await;
            match mood {
                Mood::Well | Mood::Says(..) => Health::Up,
                Mood::Slow(seconds) if seconds < 2 => Health::Up,
                Mood::Refuses | Mood::Silent | Mood::Breaks { .. } | Mood::Slow(_) => Health::Down(format!("{mood:?}")),
            }
        })
    }

    fn send_empty(&self, _: Signal) -> Sending<'_, Answer> {
        Box::pin(async {
            sleep(self.latency).await;
            match self.lock().mood {
                Mood::Says(status, _) => http(status),
                Mood::Well | Mood::Slow(_) => Answer::accepted(),
                mood => Answer::Broken { at: Break::Connect, message: format!("{mood:?}") },
            }
        })
    }
}
