//! Giving memory back to the system: a reload takes as much again as a dataset, and a server that keeps that for ever looks
//! as if it leaked.
//!
//! The C library keeps what is freed for the next to ask, and grows fond of large blocks. Both are told once and again not to.
//! Elsewhere than with the GNU C library there is nothing to tell.

/// From this size on, a block is the system's own and goes back when it is freed.
#[cfg(target_env = "gnu")]
const LARGE_BYTES: libc::c_int = 64 * 1024;

/// Has large blocks taken from the system one by one, at any time. Without this the C library raises its own limit with each
/// one that is freed. Once, at the start.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
pub fn keep_large_blocks_apart() {
    // SAFETY: the call takes numbers, and may be made while other threads allocate.
    let done = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES) } == 1;
    debug_assert!(done, "the limit is within what the C library takes");
}

/// Gives back what is free now; takes some milliseconds, so not on a worker's thread.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
pub fn give_back() {
    // SAFETY: the call takes a number, and may be made while other threads allocate.
    let _was_any = unsafe { libc::malloc_trim(0) };
}

/// Nothing to be told.
#[cfg(not(target_env = "gnu"))]
pub fn keep_large_blocks_apart() {}

/// Nothing to be told.
#[cfg(not(target_env = "gnu"))]
pub fn give_back() {}
