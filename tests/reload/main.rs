//! Reloads that cannot hurt, proven on the program: files come in every way there is, broken ones stay outside, and whatever
//! is killed in the middle of anything starts with good data.
//!
//! Nothing here sleeps and hopes: what is to happen is asked for until it does, and a deadline says what did not.

#[path = "../support/mod.rs"]
mod support;

mod changing;
mod drops;
mod kills;
mod live;
mod loading;
mod memory;
mod notes;
mod refusals;
mod restart;
mod sweep;
