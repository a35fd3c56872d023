//! Running it without fear, proven on the program: its metrics add up and a real Prometheus reads them, its alerts go off,
//! its dashboard shows something; and what it says of entries, files and queries is so.

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code)] // what they have in common is more than any one uses
#[path = "../reload/live.rs"]
mod live;

mod diff;
mod explain;
mod metrics;
mod prometheus;
mod stalled;
mod watching;
