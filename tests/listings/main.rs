//! Live listings: what is listed by command is served with the files, for its time, and survives whatever happens.
//!
//! Most of it runs in process with a clock that the tests move; what can only be seen of a process (its command line, its
//! socket, its death) is asked of one.

#[path = "../support/mod.rs"]
mod support;

mod backup;
mod brake;
mod closed;
mod crash;
mod day;
mod exact;
mod moving;
mod process;
mod removed;
mod rules;
mod told;
mod world;
