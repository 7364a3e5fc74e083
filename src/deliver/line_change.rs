//! How one line takes over from another when the configuration changes: what was learned goes on, as far as it still has a place.

use std::sync::Arc;

use tokio::time::Instant;

use super::line::Line;

impl Line {
    /// Counts on where `old` counts.
    pub fn go_on_counting(&mut self, old: &Line) {
        self.duplicate_sends = old.duplicate_sends.clone();
        self.settled_bytes = old.settled_bytes.clone();
        self.splits = old.splits.clone();
        self.merged = old.merged.clone();
        self.started_at = old.started_at;
    }

    /// Goes on from where `old`, which has ended, left off: traffic stays with its target where there still is one of that name.
    pub fn go_on_from(&self, old: &Line) {
        let (mut state, mut old_state) = (self.lock(), old.lock());
        let place = |position: usize| self.position(&old.gates[position].config.name);
        state.chain.go_on_from(&old_state.chain, place);
        state.owes = old_state.owes;
        for (old_position, gate) in old.gates.iter().enumerate() {
            // What was learned of a target that changed may not hold any more.
            let Some(position) = self.gates.iter().position(|other| Arc::ptr_eq(gate, other)) else { continue };
            let (new, old) = (&mut *state, &mut *old_state);
            std::mem::swap(&mut new.witnesses[position], &mut old.witnesses[old_position]);
            std::mem::swap(&mut new.suspects[position], &mut old.suspects[old_position]);
            std::mem::swap(&mut new.ceilings[position], &mut old.ceilings[old_position]);
            std::mem::swap(&mut new.in_doubt[position], &mut old.in_doubt[old_position]);
        }
    }

    /// Tells the targets who gets this signal's traffic.
    pub fn begin(&self) {
        let active = self.lock().chain.active();
        if let Some(gate) = self.gates.get(active) {
            gate.set_active(Instant::now(), self.signal, true, false);
        }
    }

    /// Tells the targets that this line, which has ended, wants nothing any more.
    pub fn retire(&self) {
        for gate in &self.gates {
            gate.withdraw(self.signal);
            gate.set_active(Instant::now(), self.signal, false, false);
        }
    }
}
