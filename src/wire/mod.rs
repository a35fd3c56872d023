//! DNS messages as bytes: what can be read from a datagram without allocating, and what is written into a lent buffer.
//!
//! Off the query path `hickory-proto` does this better and for every type; here is only what a list server needs, thousands
//! of times a second. Tests hold both against each other.

pub mod name;
