//! How threads share a processor: workers are let in at once, and what reads lists gives way.
//!
//! A worker wakes for each batch and has some microseconds of work; a loader computes for seconds. Since version 6.12, Linux gives
//! each thread turns of its own length. Whoever wakes with shorter turns than the thread at work has is let in at once; and a
//! thread that is in the middle of its turn is not made to wait for another one. So the turns of workers outlast any batch, those of
//! loaders are the longest there are, and loaders are nice as well, for older kernels and for everyone else on the machine. With
//! lists loaded on the same core, the longest answer then takes as long as without (`bench/run compare storm`).

use std::io;

/// Shorter than anyone's who does not ask for it (0.7 to 3 ms by the number of processors), longer than a batch takes.
const WORKER_TURN_NS: u64 = 650_000;

/// The most that the kernel takes.
const LOADER_TURN_NS: u64 = 100_000_000;

/// Has this thread be let in when it wakes.
///
/// # Errors
/// If the system refuses.
pub fn come_first() -> io::Result<()> {
    take_turns_of(WORKER_TURN_NS)
}

/// Has this thread wait for those that come first, and take less of the processor than others.
///
/// # Errors
/// If the system refuses; then it takes its turn like any other.
#[allow(unsafe_code)]
pub fn give_way() -> io::Result<()> {
    const NICE: libc::c_int = 10;
    // SAFETY: the calls take numbers only; on Linux, "process" 0 is the calling thread.
    let outcome = unsafe {
        match libc::getpriority(libc::PRIO_PROCESS, 0) {
            NICE.. => 0,
            _ => libc::setpriority(libc::PRIO_PROCESS, 0, NICE),
        }
    };
    if outcome != 0 {
        return Err(io::Error::last_os_error());
    }
    take_turns_of(LOADER_TURN_NS)
}

/// Has this thread take turns of that length, as nice as it is.
#[allow(unsafe_code)]
fn take_turns_of(turn_ns: u64) -> io::Result<()> {
    // SAFETY: both calls take numbers only; "process" 0 is the calling thread.
    let (policy, nice) = unsafe { (libc::sched_getscheduler(0), libc::getpriority(libc::PRIO_PROCESS, 0)) };
    if policy != libc::SCHED_OTHER {
        // Someone has set it, and knows why.
        return Ok(());
    }
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: policy as u32,
        sched_flags: 0,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: turn_ns,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads the attributes, which live until the call returns and say their own size.
    let outcome = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[allow(unsafe_code)]
    fn nice() -> libc::c_int {
        // SAFETY: the call takes numbers only.
        unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
    }

    #[test]
    fn workers_stay_as_nice_as_they_were_and_loaders_become_so() {
        let before = nice();
        let after = |take: fn() -> io::Result<()>| {
            thread::spawn(move || {
                take().expect("Linux has had the call since 3.14");
                take().expect("twice is once");
                nice()
            })
            .join()
            .expect("it ends")
        };
        assert_eq!(after(come_first), before);
        assert_eq!(after(give_way), before.max(10));
        assert_eq!(nice(), before, "threads are told one by one");
    }
}
