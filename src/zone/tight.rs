//! Vectors that grow without ever holding much more room than is used.
//!
//! Sets are built while others are served, and a vector that doubles would hold up to twice what it needs. What is large moves
//! its pages when it grows, not its octets, so it can grow by little each time.

/// From so many octets on the C library, as the server sets it up, takes what is allocated from the system, and gives it back when
/// it is freed: what grows moves its pages.
pub(super) const LARGE_LEN: usize = 64 * 1024;

/// Appends an item.
#[inline]
pub(super) fn push_tight<T>(into: &mut Vec<T>, item: T) {
    if into.len() == into.capacity() {
        grow_tight(into, 1, usize::MAX);
    }
    into.push(item);
}

/// Makes sure that there is room for `count` more items, of at most so many that are still to come.
#[inline]
pub(super) fn reserve_tight<T>(into: &mut Vec<T>, count: usize, to_come: usize) {
    if into.capacity() - into.len() < count {
        grow_tight(into, count, to_come);
    }
}

#[cold]
fn grow_tight<T>(into: &mut Vec<T>, count: usize, to_come: usize) {
    let is_large = into.len() * size_of::<T>() >= LARGE_LEN;
    let share = if is_large { into.len() / 16 } else { into.len().max(16) };
    into.reserve_exact(share.max(count).min(to_come));
}
