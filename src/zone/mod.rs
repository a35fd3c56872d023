//! What is served: zones, their datasets and values. Immutable once built, read by all workers without a lock.
//!
//! | from a name to its zone | |
//! |---|---|
//! | `snapshot.rs`, `catalog.rs` | everything served at one moment; the longest apex that a name ends in |
//! | `usual.rs` | zones that are served to everyone and list one kind of key, with all that the usual question needs |
//! | `apex.rs`, `access.rs` | SOA and name servers; who may ask |
//!
//! | from a name to what is listed | |
//! |---|---|
//! | `subject.rs`, `bits.rs` | what a name may stand for: an address, a part of one, a name; addresses as numbers |
//! | `dataset.rs`, `values.rs`, `shown.rs` | a typed set of entries; A and TXT; the key in a TXT |
//! | `addresses/`, `names/`, `records.rs` | the three kinds of sets |
//! | `reversed.rs` | a name from right to left, as sets of names have it |
//! | `halving.rs` | binary search in them |
//! | `live/` | what is listed by command, in front of all that |
//!
//! | what an entry says, from a line's words to an answer | |
//! |---|---|
//! | claim (`ruling.rs`) | one line: a value or an exclusion, from when, until when, for whom |
//! | level (`ruling.rs`) | the claims of one key and one specificity: they count together |
//! | ruling (`ruling.rs`) | a level in four bytes; with claims elsewhere (a *link*) where four bytes do not hold it |
//! | standing (`standing.rs`, `nested.rs`) | a ruling and its end; several, one behind the other, where prefixes nest |
//! | finding (`ruling.rs`) | what a lookup comes to at one moment, for one client |
//! | outlook (`standing.rs`) | when a standing lists, whoever asks: for sweeps and reports, with `lifetimes.rs` |
//!
//! | from lines to sets | |
//! |---|---|
//! | `runs.rs`, `sorting.rs`, `translation.rs`, `tight.rs` | lines in any order, in little more memory than the entries take |
//! | `difference/` | what would be listed, delisted and changed between two sets, and who might ask |

#![forbid(unsafe_code)]

pub mod access;
pub mod addresses;
pub mod apex;
pub mod bits;
mod catalog;
pub mod dataset;
pub mod difference;
mod halving;
pub mod lifetimes;
pub mod live;
pub mod names;
pub mod nested;
pub mod records;
pub mod reversed;
pub mod ruling;
mod runs;
#[cfg(test)]
#[path = "tests/scattered.rs"]
mod scattered;
pub mod shown;
pub mod snapshot;
mod sorting;
pub mod standing;
pub mod subject;
mod tight;
mod translation;
pub mod usual;
pub mod values;
