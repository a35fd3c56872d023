//! How threads share a processor: workers are let in at once, and what reads lists gives way.
//!
//! A worker wakes for each batch and has some microseconds of work; a loader computes for seconds. Since version 6.12, Linux
//! gives each thread turns of its own length. Whoever wakes with shorter turns than the thread at work has is let in at once;
//! and a thread in the middle of its turn is not made to wait for another one's. So the turns of workers outlast a batch, those
//! of loaders are the longest there are, and loaders are as nice as can be: for older kernels, for everyone else on the machine,
//! and since a worker that has just run is let in at once only while it has not had more than its share: else it waits for a tick,
//! some milliseconds.
//!
//! That happens to no one beside a thread that takes nothing but what is left over (`SCHED_IDLE`), so loaders do that while there
//! is something left. Where there is not, a load would never end: those that get next to nothing take a tenth of a processor. The
//! kernel lets a thread do so only if it may raise its priority so far (`RLIMIT_NICE`, or a capability), so others stay nice all along.
//! How long answers take while lists are loaded on the same core, `bench/run compare storm sweep` shows.

use std::{
    fs, io,
    time::{Duration, Instant},
};

/// Shorter than anyone's who does not ask for it (0.7 to 3 ms by the number of processors), longer than a batch takes.
const WORKER_TURN_NS: u64 = 650_000;

/// The most that the kernel takes.
const LOADER_TURN_NS: u64 = 100_000_000;

/// The lowest priority that still is one: a seventieth of a processor beside a thread that is not nice.
const NICE: libc::c_int = 19;

/// That of those who got too little of what is left over: a tenth.
pub const NICE_IF_STARVED: libc::c_int = 10;

/// What is left over must have been too little for so long before it counts.
const PATIENCE: Duration = Duration::from_millis(500);

/// Less than one in so many nanoseconds is too little.
const TOO_LITTLE: u32 = 4;

/// Where the kernel tells of our threads.
const THREADS: &str = "/proc/self/task";

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

/// The same of a thread that ends with its work, and those that it starts: they take only what is left over, if they may
/// [insist](insist_if_starved) one day.
pub fn stand_aside() {
    give_way();
    if policy() == libc::SCHED_OTHER
        && may_return()
        && let Err(error) = schedule(THIS, libc::SCHED_IDLE, NICE, 0)
    {
        tracing::debug!(%error, "workers may have to wait for a thread that reads lists");
    }
}

/// Has threads that stand aside and have got next to nothing since then take a share, small as that is. For a thread that does not
/// stand aside; where those have the policy of all threads, someone else has set it.
pub fn insist_if_starved(since: Instant) {
    let elapsed = since.elapsed();
    if elapsed >= PATIENCE {
        insist(|spent| starves(spent, elapsed));
    }
}

fn insist(is_starved: impl Fn(&str) -> bool) {
    if policy() != libc::SCHED_OTHER {
        return;
    }
    let Ok(threads) = fs::read_dir(THREADS) else { return };
    for thread in threads.filter_map(Result::ok) {
        let Some(id) = thread.file_name().to_str().and_then(|id| id.parse().ok()) else { continue };
        // One that has ended meanwhile needs nothing.
        let spent = || fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        if policy_of(id) == libc::SCHED_IDLE
            && is_starved(&spent())
            && schedule(id, libc::SCHED_OTHER, NICE_IF_STARVED, LOADER_TURN_NS).is_ok()
        {
            tracing::debug!(thread = id, "the processors are busy: a thread that reads lists takes its share");
        }
    }
}

/// Whether a thread got less in that time than what is worth standing aside for. Of what the kernel says of it, the nanoseconds for
/// which it ran come first; those for which it waited do not count while it still does.
fn starves(spent: &str, elapsed: Duration) -> bool {
    let ran_ns = spent.split_ascii_whitespace().next().and_then(|ran| ran.parse().ok());
    ran_ns.is_some_and(|ran_ns| Duration::from_nanos(ran_ns) < elapsed / TOO_LITTLE)
}

/// Whether this thread, which is nice, might take its share where it starves, and that would be seen.
fn may_return() -> bool {
    fs::metadata(THREADS).is_ok() && set_nice(NICE_IF_STARVED).and_then(|()| set_nice(NICE)).is_ok()
}

/// Lowers the priority of this thread, if it is not as low already.
fn be_nice() -> io::Result<()> {
    if nice() < NICE { set_nice(NICE) } else { Ok(()) }
}

/// The priority of this thread.
#[allow(unsafe_code)]
fn nice() -> libc::c_int {
    // SAFETY: the call takes numbers only; on Linux, "process" 0 is the calling thread.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// Sets the priority of this thread.
#[allow(unsafe_code)]
fn set_nice(nice: libc::c_int) -> io::Result<()> {
    // SAFETY: as above.
    let outcome = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Has this thread take turns of that length, as nice as it is.
fn take_turns_of(turn_ns: u64) -> io::Result<()> {
    // Where it is another, someone has set it, and knows why.
    if policy() == libc::SCHED_OTHER { schedule(THIS, libc::SCHED_OTHER, nice(), turn_ns) } else { Ok(()) }
}

/// How the system calls whatever thread calls them.
const THIS: libc::pid_t = 0;

/// The policy of this thread.
fn policy() -> libc::c_int {
    policy_of(THIS)
}

/// The policy of a thread; no policy if there is no such thread.
#[allow(unsafe_code)]
fn policy_of(thread: libc::pid_t) -> libc::c_int {
    // SAFETY: the call takes a number only.
    unsafe { libc::sched_getscheduler(thread) }
}

/// Gives a thread a policy, a priority and turns of that length.
#[allow(unsafe_code)]
fn schedule(thread: libc::pid_t, policy: libc::c_int, nice: libc::c_int, turn_ns: u64) -> io::Result<()> {
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
    let outcome = unsafe { libc::syscall(libc::SYS_sched_setattr, thread, &raw const attributes, 0) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    /// Whether a thread of ours that is nice may return from standing aside.
    fn may_some_return() -> bool {
        let attempt = || {
            give_way();
            may_return()
        };
        thread::spawn(attempt).join().expect("it ends")
    }

    #[test]
    fn workers_stay_as_nice_as_they_were_and_loaders_become_so() {
        let before = nice();
        let after = |take: fn()| {
            let twice = move || {
                take();
                take();
                (nice(), policy())
            };
            thread::spawn(twice).join().expect("it ends")
        };
        let aside = if may_some_return() { libc::SCHED_IDLE } else { libc::SCHED_OTHER };
        assert_eq!(after(come_first), (before, libc::SCHED_OTHER));
        assert_eq!(after(give_way), (before.max(NICE), libc::SCHED_OTHER));
        assert_eq!(after(stand_aside), (before.max(NICE), aside));
        take_turns_of(WORKER_TURN_NS).expect("Linux has had the call since 3.14");
        assert_eq!(nice(), before, "threads are told one by one");
    }

    #[test]
    fn those_that_get_less_than_a_quarter_starve() {
        for (spent, is_starved) in [
            ("249999999 3 1", true),
            ("0 0 0", true),
            ("250000000 9000000000 1", false),
            ("", false),
            ("seven 9 1", false),
        ] {
            assert_eq!(starves(spent, Duration::from_secs(1)), is_starved, "{spent}");
        }
    }

    #[test]
    fn whoever_starves_takes_its_share_again() {
        if !may_some_return() {
            return; // Then nobody stands aside: see above.
        }
        let (sender, receiver) = mpsc::channel();
        let (done, is_done) = mpsc::channel();
        let aside = thread::spawn(move || {
            stand_aside();
            sender.send(()).expect("somebody waits");
            is_done.recv().expect("it is said");
            (policy(), nice())
        });
        receiver.recv().expect("it stands aside");
        insist(|spent| spent.split_ascii_whitespace().count() == 3);
        done.send(()).expect("it waits");
        assert_eq!(aside.join().expect("it ends"), (libc::SCHED_OTHER, NICE_IF_STARVED));
        assert_ne!(nice(), NICE_IF_STARVED, "threads that do not stand aside are left as they are");
    }
}
