//! What the machine takes to fetch something from memory: loads over so many bytes, each of which must wait for the one before.
//!
//! A lookup waits so at each step that depends on the last one, so this says what it must take at least where the structure is
//! as large. Pages that the processor must find first are in it, as they are in a lookup.

use std::{hint::black_box, time::Instant};

use rand::Rng as _;

use crate::data;

/// A cache line.
type Line = [u32; 16];
const STEPS: usize = 2_000_000;
/// The quickest of so many rounds counts: what else the machine does only adds.
const ROUNDS: usize = 3;

/// Nanoseconds of a load among so many bytes.
pub(crate) fn load_ns(bytes: usize) -> f64 {
    let (mut random, count) = (data::random(11), (bytes / size_of::<Line>()).max(2));
    let mut next: Vec<u32> = (0..count as u32).collect();
    // Exchanged so, with an earlier one always, all lines are on one way round (Sattolo).
    for last in (1..count).rev() {
        next.swap(last, random.random_range(0..last));
    }
    let lines: Vec<Line> = next.into_iter().map(|next| [next; 16]).collect();
    let mut at = 0;
    let round = |_| {
        let start = Instant::now();
        for _ in 0..STEPS {
            at = lines[at as usize][0];
        }
        black_box(at);
        start.elapsed().as_nanos() as f64 / STEPS as f64
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}
