//! How threads share a processor: workers are let in at once, and what reads lists gives way.
//!
//! A worker wakes for each batch and has some microseconds of work; a loader computes for seconds. Since version 6.12, Linux
//! gives each thread turns of its own length. Whoever wakes with shorter turns than the thread at work has is let in at once;
//! and a thread in the middle of its turn is not made to wait for another one's. So the turns of workers outlast a batch, those
//! of loaders are the longest there are, and loaders are as nice as can be: for older kernels, for everyone else on the machine,
//! and since a worker that has just run is let in at once only while it has not had more than its share. Beside a loader that is
//! entitled to a tenth (nice 10), some wait for a tick now and then; beside one that is entitled to a seventieth, hardly any.
//! On a processor that is busy all the time, loads take as much longer.
//! How long answers take while lists are loaded on the same core, `bench/run compare storm` shows.

use std::io;

/// Shorter than anyone's who does not ask for it (0.7 to 3 ms by the number of processors), longer than a batch takes.
const WORKER_TURN_NS: u64 = 650_000;

/// The most that the kernel takes.
const LOADER_TURN_NS: u64 = 100_000_000;

/// Has this thread be let in when it wakes. A system that refuses has its reasons, and all goes on as it is.
pub fn come_first() {
    if let Err(error) = take_turns_of(WORKER_TURN_NS) {
        tracing::debug!(%error, "a worker may have to wait for other threads' turns to end");
    }
}

/// Has this thread wait for those that come first, and take less of the processor than others; if the system agrees.
pub fn give_way() {
    if let Err(error) = be_nice() {
        tracing::debug!(%error, "a thread that reads lists has the priority of all others");
    }
    if let Err(error) = take_turns_of(LOADER_TURN_NS) {
        tracing::debug!(%error, "workers may have to wait for the turn of a thread that reads lists");
    }
}

/// Lowers the priority of this thread, if it is not as low already.
#[allow(unsafe_code)]
fn be_nice() -> io::Result<()> {
    const NICE: libc::c_int = 19;
    // SAFETY: the calls take numbers only; on Linux, "process" 0 is the calling thread.
    let outcome = unsafe {
        match libc::getpriority(libc::PRIO_PROCESS, 0) {
            NICE.. => 0,
            _ => libc::setpriority(libc::PRIO_PROCESS, 0, NICE),
        }
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
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
        let after = |take: fn()| {
            let twice = move || {
                take();
                take();
                nice()
            };
            thread::spawn(twice).join().expect("it ends")
        };
        assert_eq!(after(come_first), before);
        assert_eq!(after(give_way), before.max(19));
        take_turns_of(WORKER_TURN_NS).expect("Linux has had the call since 3.14");
        assert_eq!(nice(), before, "threads are told one by one");
    }
}
