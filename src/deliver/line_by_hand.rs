//! What a person's orders do to one line.

use tokio::time::Instant;

use super::by_hand::ByHand;
use super::chain::{Chain, Condition, Move};
use super::detour::Detour;
use super::line::Line;

impl Line {
    /// Position of a target in the chain.
    pub fn position(&self, target: &str) -> Option<usize> {
        self.gates.iter().position(|gate| gate.config.name == target)
    }

    /// Takes over what holds by hand.
    pub fn obey(&self, by_hand: &ByHand) {
        let mut state = self.lock();
        state.chain.pin(by_hand.target().and_then(|target| self.position(target)));
        state.paused = by_hand.paused_since_ms.is_some();
        if state.paused {
            state.detours.iter_mut().for_each(Detour::give_back);
        }
        state.stale = true;
        drop(state);
        self.stir.one(self.signal);
    }

    /// Traffic goes to the next target that takes over: its name, or `None` where there is none.
    pub fn fail_over(&self) -> Option<String> {
        self.shift(Chain::fail_over)
    }

    /// Traffic goes to the primary: its name, or `None` where it goes there already, or would be sent away at once.
    pub fn fail_back(&self) -> Option<String> {
        self.shift(Chain::fail_back)
    }

    fn shift(&self, order: impl FnOnce(&mut Chain, Instant, &[Condition]) -> Option<Move>) -> Option<String> {
        let now = Instant::now();
        let mut state = self.lock();
        let conditions: Vec<Condition> = self.gates.iter().map(|gate| gate.condition(now, self.signal)).collect();
        let moved = order(&mut state.chain, now, &conditions)?;
        self.moved(&mut state, now, moved);
        state.stale = true;
        drop(state);
        self.stir.one(self.signal);
        Some(self.gates[moved.to].config.name.clone())
    }
}
