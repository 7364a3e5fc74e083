//! Carries out what people order. One order at a time; what has to survive is written down before anything moves.

use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::Deliver;
use super::breaker::Breaker;
use super::by_hand::{ByHand, Command, CommandError, Done, Pinned};
use super::gate::Gate;
use super::line::Line;
use super::timeline::now_ms;

impl Deliver {
    /// Carries out an order. It is told to log and timeline, and, if it is one that holds, synced when this returns.
    pub async fn command(&self, command: Command) -> Result<Done, CommandError> {
        let _turn = self.turn.lock().await;
        let by_hand = self.by_hand();
        let (what, next) = match command {
            Command::Pin { target } => {
                self.gate(&target)?;
                let what = self.whom_it_holds(&target);
                let pinned = Some(Pinned { target, since_ms: now_ms() });
                (what, ByHand { pinned, ..by_hand.clone() })
            }
            Command::Unpin => {
                ("the chains decide by themselves".to_owned(), ByHand { pinned: None, ..by_hand.clone() })
            }
            Command::Pause => {
                let paused_since_ms = by_hand.paused_since_ms.or(Some(now_ms()));
                let what = "delivery is paused, the doors go on taking data".to_owned();
                (what, ByHand { paused_since_ms, ..by_hand.clone() })
            }
            Command::Resume => ("delivery goes on".to_owned(), ByHand { paused_since_ms: None, ..by_hand.clone() }),
            Command::FailOver => {
                (self.shift(&by_hand, Line::fail_over, "another target that takes data")?, by_hand.clone())
            }
            Command::FailBack => {
                (self.shift(&by_hand, Line::fail_back, "a primary to go back to that takes data")?, by_hand.clone())
            }
            Command::Open { target } => {
                self.gate(&target)?.by_hand(Breaker::force_open);
                (format!("nothing is sent to {target}"), by_hand.clone())
            }
            Command::Close { target } => {
                self.gate(&target)?.by_hand(Breaker::force_closed);
                (format!("failures do not open the breaker of {target}"), by_hand.clone())
            }
            Command::Auto { target } => {
                self.gate(&target)?.by_hand(|breaker| breaker.release(Instant::now()));
                (format!("the breaker of {target} decides by itself"), by_hand.clone())
            }
        };
        if next != by_hand {
            self.crew.queue.keep(next.encode()).await?;
            *self.by_hand_lock() = next.clone();
            self.lines().iter().for_each(|line| line.obey(&next));
        }
        self.crew.told.1.note(format!("by hand: {what}"));
        Ok(Done { what, by_hand: next })
    }

    /// What holds by hand.
    pub fn by_hand(&self) -> ByHand {
        self.by_hand_lock().clone()
    }

    fn by_hand_lock(&self) -> MutexGuard<'_, ByHand> {
        self.by_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gate(&self, name: &str) -> Result<Arc<Gate>, CommandError> {
        let gates = self.gates();
        gates.iter().find(|gate| gate.config.name == name).cloned().ok_or_else(|| CommandError::NoSuchTarget {
            name: name.to_owned(),
            known: gates.iter().map(|gate| gate.config.name.clone()).collect(),
        })
    }

    /// Moves the traffic of every chain that can; in a sentence, whose.
    fn shift(
        &self,
        by_hand: &ByHand,
        shift: impl Fn(&Line) -> Option<String>,
        lacking: &str,
    ) -> Result<String, CommandError> {
        if let Some(target) = by_hand.target() {
            return Err(CommandError::NotNow(format!("traffic is pinned to {target}: unpin it first, or pin another")));
        }
        let moved: Vec<String> =
            self.lines().iter().filter_map(|line| Some(format!("{} to {}", line.signal, shift(line)?))).collect();
        match moved.is_empty() {
            true => Err(CommandError::NotNow(format!("no chain has {lacking}; `pin` sends there regardless"))),
            false => Ok(format!("traffic goes: {}", moved.join(", "))),
        }
    }

    /// What a pin means for each signal, in a sentence.
    fn whom_it_holds(&self, target: &str) -> String {
        let names = |held: bool| {
            let lines = self.lines();
            let lines = lines.iter().filter(|line| line.position(target).is_some() == held);
            lines.map(|line| line.signal.as_str()).collect::<Vec<_>>().join(", ")
        };
        match names(false).as_str() {
            "" => format!("traffic is pinned to {target}"),
            free => format!("traffic is pinned to {target}: {}; the chains of {free} do not have it", names(true)),
        }
    }
}
