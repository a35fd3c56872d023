//! A ring that is shared with the kernel: one side puts entries in, the other takes them out, and each tells the other how far it
//! is by a counter that only it writes (Linux, `Documentation/networking/af_xdp.rst`).
//!
//! Entries are moved without telling; `publish` and `release` tell the other side once for a whole batch. The counters run on
//! beyond the ring's size, which is a power of two, and around at 2^32.

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the parts of a ring are: in memory that both sides see.
pub(super) struct Parts<T> {
    pub(super) producer: NonNull<AtomicU32>,
    pub(super) consumer: NonNull<AtomicU32>,
    pub(super) flags: NonNull<AtomicU32>,
    pub(super) entries: NonNull<T>,
    /// How many; a power of two.
    pub(super) size: u32,
}

/// Our end of a ring. `T` is plain numbers, of which any is a value.
pub(super) struct Ring<T> {
    parts: Parts<T>,
    /// Our own counter: of the next entry to put in, or to take out.
    next: u32,
    entries: PhantomData<T>,
}

// SAFETY: an end is used by one thread at a time, and what it points at is not bound to a thread.
unsafe impl<T: Send> Send for Ring<T> {}

impl<T: Copy> Ring<T> {
    /// Our end of a new ring.
    ///
    /// # Safety
    /// The parts must be valid for as long as it lives, `size` entries among them, and the other side must keep to the
    /// protocol: this end is the only one that writes what it writes.
    pub(super) unsafe fn new(parts: Parts<T>) -> Self {
        assert!(parts.size.is_power_of_two());
        Self { parts, next: 0, entries: PhantomData }
    }

    /// The address of the entry that a counter means.
    fn entry(&self, counter: u32) -> *mut T {
        // SAFETY: masked, so within the entries, as `new` was promised.
        unsafe { self.parts.entries.as_ptr().add((counter & (self.parts.size - 1)) as usize) }
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: `new` was promised that it is valid.
        unsafe { self.parts.producer.as_ref() }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: `new` was promised that it is valid.
        unsafe { self.parts.consumer.as_ref() }
    }

    /// Whether the other side sleeps and wants to be woken by a system call.
    pub(super) fn needs_wakeup(&self) -> bool {
        // SAFETY: `new` was promised that it is valid.
        let flags = unsafe { self.parts.flags.as_ref() };
        flags.load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }

    /// Put an entry in. There must be room: whoever uses a ring for frames has no more frames than it has room.
    pub(super) fn put(&mut self, entry: T) {
        // SAFETY: the entry is not the other side's until `publish` says so.
        unsafe { self.entry(self.next).write(entry) };
        self.next = self.next.wrapping_add(1);
    }

    /// Take the last entry back that was put in, of which the other side was not told.
    pub(super) fn withdraw(&mut self) -> T {
        self.next = self.next.wrapping_sub(1);
        // SAFETY: we put it in, and it is ours until `publish`.
        unsafe { self.entry(self.next).read() }
    }

    /// Tell the other side of all that was put in.
    pub(super) fn publish(&self) {
        self.producer().store(self.next, Ordering::Release);
    }

    /// How many of those that were published the other side has not taken out yet.
    pub(super) fn backlog(&self) -> usize {
        self.next.wrapping_sub(self.consumer().load(Ordering::Acquire)) as usize
    }

    /// How many entries there are to take out.
    pub(super) fn ready(&self) -> usize {
        self.producer().load(Ordering::Acquire).wrapping_sub(self.next) as usize
    }

    /// The `i`-th of those that are [`ready`](Self::ready).
    pub(super) fn peek(&self, i: usize) -> T {
        // SAFETY: the other side put it in before it said so, and leaves it alone until `release`.
        unsafe { self.entry(self.next.wrapping_add(i as u32)).read() }
    }

    /// Let the first `count` of those that are ready go, and tell the other side.
    pub(super) fn release(&mut self, count: usize) {
        self.next = self.next.wrapping_add(count as u32);
        self.consumer().store(self.next, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u32 = 8;

    /// Both ends of a ring in this process's own memory, and what it stands in.
    struct Joined {
        ours: Ring<u64>,
        theirs: Ring<u64>,
        _memory: Box<(AtomicU32, AtomicU32, AtomicU32, [u64; SIZE as usize])>,
    }

    fn joined(start: u32) -> Joined {
        let memory: Box<(AtomicU32, AtomicU32, AtomicU32, [u64; SIZE as usize])> =
            Box::new((start.into(), start.into(), libc::XDP_RING_NEED_WAKEUP.into(), [0; SIZE as usize]));
        let memory = NonNull::from(Box::leak(memory));
        let end = || {
            let at = memory.as_ptr();
            // SAFETY: only addresses of parts are taken, and the memory lives until both ends are gone.
            unsafe {
                let parts = Parts {
                    producer: NonNull::new_unchecked(&raw mut (*at).0),
                    consumer: NonNull::new_unchecked(&raw mut (*at).1),
                    flags: NonNull::new_unchecked(&raw mut (*at).2),
                    entries: NonNull::new_unchecked((&raw mut (*at).3).cast()),
                    size: SIZE,
                };
                Ring { next: start, ..Ring::new(parts) }
            }
        };
        let (ours, theirs) = (end(), end());
        // SAFETY: it is the box that was leaked above; it is only touched again when it is dropped, after the ends.
        Joined { ours, theirs, _memory: unsafe { Box::from_raw(memory.as_ptr()) } }
    }

    #[test]
    fn entries_come_out_in_order_and_only_once_told() {
        for start in [0, 5, u32::MAX - 3] {
            let Joined { mut ours, mut theirs, _memory } = joined(start);
            assert!(ours.needs_wakeup() && ours.backlog() == 0);
            for round in 0..10_u64 {
                for n in 0..5 {
                    ours.put(round * 10 + n);
                }
                ours.put(99);
                assert_eq!(ours.withdraw(), 99);
                assert_eq!(theirs.ready(), 0, "not yet told");
                ours.publish();
                assert_eq!(ours.backlog(), 5);
                assert_eq!((0..theirs.ready()).map(|i| theirs.peek(i)).sum::<u64>(), round * 50 + 10);
                theirs.release(2);
                assert_eq!((theirs.ready(), theirs.peek(0)), (3, round * 10 + 2));
                theirs.release(3);
                assert_eq!(ours.backlog(), 0);
            }
        }
    }
}
