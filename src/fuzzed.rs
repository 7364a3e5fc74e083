//! Bytes that were changed at random, for tests of everything that reads bytes of others.
//!
//! Always the same ones, so that a change is judged by what it changed; with `SPILLWAY_TEST_COUNTS=release` a hundred times as many, of
//! a seed that is new each time and printed in the end.

use std::time::Instant;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Readings that a test makes of changed bytes.
const COUNT: u32 = 100_000;

/// Values that lengths and counts like to break at.
const EDGES: [&[u8]; 6] = [&[0], &[0xff; 4], &[0x7f], &[0x80, 1], &[0xff; 10], &[0x80; 9]];

/// Calls `read` with one of `sound`, changed in up to four places, [`COUNT`] times.
pub(crate) fn fuzz(sound: &[Vec<u8>], mut read: impl FnMut(&[u8])) {
    let release = std::env::var("SPILLWAY_TEST_COUNTS").is_ok_and(|counts| counts == "release");
    let (seed, count) = if release { (rand::random(), 100 * COUNT) } else { (7, COUNT) };
    let mut told = Told { seed, read: 0, begun: Instant::now() };
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..count {
        let mut bytes = sound[random.random_range(0..sound.len())].clone();
        for _ in 0..random.random_range(0..=4) {
            change(&mut bytes, sound, &mut random);
        }
        read(&bytes);
        told.read += 1;
    }
}

fn change(bytes: &mut Vec<u8>, sound: &[Vec<u8>], random: &mut StdRng) {
    let at = random.random_range(0..=bytes.len());
    let end = random.random_range(at..=bytes.len().min(at + 40));
    match random.random_range(0..6) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
        1 if at < bytes.len() => bytes[at] = random.random(),
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..end)),
        4 => {
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        _ => {
            let other = &sound[random.random_range(0..sound.len())];
            let from = random.random_range(0..=other.len());
            let piece = &other[from..other.len().min(from + 40)];
            let piece = if random.random() { piece } else { EDGES[random.random_range(0..EDGES.len())] };
            bytes.splice(at..end, piece.iter().copied());
        }
    }
}

/// Says in the end what was done, with the seed that does it again.
struct Told {
    seed: u64,
    read: u32,
    begun: Instant,
}

impl Drop for Told {
    fn drop(&mut self) {
        let Told { seed, read, begun } = self;
        eprintln!("fuzzed: {read} readings in {:.0} s, the seed was {seed}", begun.elapsed().as_secs_f64());
    }
}
