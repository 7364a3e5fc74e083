//! Dead letters: looks, and what is done with them.

use serde::Deserialize;

use super::queue::From;
use super::wire::{DeadLetter, Letters};
use super::{Answer, Ask, Json, Open};
use crate::batch::{Key, Signal};
use crate::queue::tools::{Moved, Page};

#[derive(Deserialize)]
pub(super) struct Bodies {
    /// Whether to tell their bytes.
    #[serde(default)]
    bodies: bool,
}

pub(super) async fn letters(
    Open(queue): Open,
    Ask(From { signal, from, .. }): Ask<From>,
    Ask(Bodies { bodies }): Ask<Bodies>,
) -> Answer<Page<DeadLetter>> {
    let Page { found, next } = queue.letters(signal, from).await?;
    Ok(Json(Page { found: found.iter().map(|letter| DeadLetter::of(letter, bodies)).collect(), next }))
}

pub(super) async fn replay(Open(queue): Open, Json(letters): Json<Letters>) -> Answer<Moved> {
    Ok(Json(queue.replay_dead(places(&letters)).await?))
}

pub(super) async fn purge(Open(queue): Open, Json(letters): Json<Letters>) -> Answer<Moved> {
    Ok(Json(queue.purge_dead(places(&letters)).await?))
}

fn places(letters: &Letters) -> Vec<(Signal, Key)> {
    letters.letters.iter().map(|place| (place.signal, place.key)).collect()
}
