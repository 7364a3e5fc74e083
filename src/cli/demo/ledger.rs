//! The demo's ledger: what the client was told against what the sinks have.

use std::collections::HashMap;
use std::collections::HashSet;

use serde::Serialize;

/// The account at the end, in items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Ledger {
    /// Sent by the client.
    pub(super) sent: u64,
    /// Answered OK.
    pub(super) acknowledged: u64,
    /// Answered otherwise: the client knows that it has to send them again.
    pub(super) refused: u64,
    /// Distinct items that the primary has.
    pub(super) delivered_primary: u64,
    /// Distinct items that the fallback has.
    pub(super) delivered_fallback: u64,
    /// Of the primary's, those that came as a replay.
    pub(super) replayed_to_primary: u64,
    /// Acknowledged, and now with neither.
    pub(super) lost: u64,
    /// Acknowledged, and not with the primary, which is owed everything.
    pub(super) missing_at_primary: u64,
    /// Copies beyond the first at one target.
    pub(super) duplicates: u64,
    /// The gateway's own books: what came in minus what is accounted for.
    pub(super) books_imbalance: i64,
    /// Still queued at the end.
    pub(super) queued: u64,
}

/// What each side has, by item.
pub(super) struct Evidence {
    /// Answered OK.
    pub(super) acknowledged: HashSet<u64>,
    /// Copies at the primary.
    pub(super) primary: HashMap<u64, u32>,
    /// Copies at the fallback.
    pub(super) fallback: HashMap<u64, u32>,
}

impl Evidence {
    /// Items acknowledged that neither target has.
    pub(super) fn lost(&self) -> u64 {
        let nowhere = |id: &&u64| !self.primary.contains_key(id) && !self.fallback.contains_key(id);
        self.acknowledged.iter().filter(nowhere).count() as u64
    }

    /// Items acknowledged that the primary does not have.
    pub(super) fn missing_at_primary(&self) -> u64 {
        self.acknowledged.iter().filter(|id| !self.primary.contains_key(id)).count() as u64
    }

    /// Copies beyond the first, at either target.
    pub(super) fn duplicates(&self) -> u64 {
        let copies = self.primary.values().chain(self.fallback.values());
        copies.map(|copies| u64::from(copies.saturating_sub(1))).sum()
    }
}

impl Ledger {
    /// Whether every acknowledged item is where it belongs and the books balance.
    pub(super) fn is_clean(&self) -> bool {
        self.lost == 0 && self.missing_at_primary == 0 && self.books_imbalance == 0 && self.acknowledged > 0
    }

    /// The account as lines for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let row = |what: &str, items: u64| format!("  {what:<28}{:>12}", grouped(items));
        vec![
            row("sent", self.sent),
            row("acknowledged", self.acknowledged),
            row("delivered to the hub", self.delivered_primary),
            row("  of which replayed", self.replayed_to_primary),
            row("delivered to the fallback", self.delivered_fallback),
            row("still queued", self.queued),
            row("duplicates", self.duplicates),
            row("lost", self.lost + self.missing_at_primary),
        ]
    }
}

/// `12345` as `12 345`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_that_only_the_fallback_has_is_missing_at_the_primary_and_not_lost() {
        let evidence = Evidence {
            acknowledged: HashSet::from([1, 2, 3]),
            primary: HashMap::from([(1, 2)]),
            fallback: HashMap::from([(2, 1)]),
        };
        assert_eq!((evidence.lost(), evidence.missing_at_primary(), evidence.duplicates()), (1, 2, 1));
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1 000", "1 234 567"]);
    }
}
